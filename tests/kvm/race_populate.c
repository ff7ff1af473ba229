// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that are populated under a guest that reads them, and two that
 * populate the same: a page is there whole or not at all.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "claims.h"
#include "stress.h"
#include "moving.h"
#include "populate.h"
#include "sealing.h"

#define PAGES	64
#define MANY	2048	/* it takes a while to populate them */
#define MOVES	25
#define WORDS	(PAGE_SIZE / sizeof(uint64_t))

static struct machine *m;
static uint64_t generation;

/* Each content has one word all over, which no content had before. */
static uint64_t *next_content(uint64_t *pages)
{
	uint64_t word = __atomic_add_fetch(&generation, 1, __ATOMIC_RELAXED);

	for (uint64_t i = 0; i < PAGES * WORDS; i++)
		pages[i] = word;
	return pages;
}

static void empty_and_populate(void *pages)
{
	punch_pages(m->view, 0, PAGES);
	populate(m, 0, PAGES, next_content(pages));
}

static void populate_too(void *pages)
{
	populate_offset(m->view, 0, PAGES, next_content(pages));
}

static void allocate(void *arg __attribute__((unused)))
{
	allocate_pages(m->view, 0, PAGES);
}

/* The same at the same place twice, so it stood there; then so did the rest of it. */
static void guest_code_look(void)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		volatile uint64_t *p = (volatile uint64_t *)(MACHINE_GVA + page * PAGE_SIZE);

		for (uint64_t i = 0; i < WORDS; i += 73) {
			uint64_t before = p[WORDS - 1], other = p[i], after = p[WORDS - 1];

			__GUEST_ASSERT(before != after || other == after,
				       "page %lu: word %lu is %lu, the last %lu", page, i, other,
				       after);
			before = p[0];
			other = p[i];
			after = p[0];
			__GUEST_ASSERT(before != after || other == after,
				       "page %lu: word %lu is %lu, the first %lu", page, i, other,
				       after);
		}
	}
	GUEST_RETURN(0);
}

static void look(void *arg __attribute__((unused)))
{
	machine_call(m, guest_code_look, 0, 0, 0);
}

static void whole_or_not_at_all(void)
{
	const struct stress_op ops[] = {
		{ "the guest", look, NULL },
		{ "holes, populated", empty_and_populate, pattern_pages(0, PAGES, 0) },
		{ "populated, too", populate_too, pattern_pages(0, PAGES, 0) },
		{ "allocated", allocate, NULL },
	};

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	m = machine_create(PAGES);
	STRESS(ops);
	machine_free(m);
}

/* Somewhere in the middle of populating. */
static void wait_a_while(void)
{
	usleep(random() % 20000);
}

/* What is there stays as it is: who populated is done, or came too late. */
static void expect_nothing_more(int view, const char *after)
{
	uint64_t pages = resident(view);

	usleep(20000);
	TEST_ASSERT(resident(view) == pages, "%ld pages came in after %s",
		    (long)(resident(view) - pages), after);
}

static void populate_private(void *content)
{
	if (populate(m, 0, MANY, content) < 0)
		TEST_ASSERT(errno == EINVAL || errno == EEXIST, "populate: errno %d", errno);
}

static void make_shared(void *arg __attribute__((unused)))
{
	wait_a_while();
	vm_mem_set_shared(m->vm, MACHINE_GPA, MANY * PAGE_SIZE);
	expect_nothing_more(m->view, "the pages were made shared");
	punch_pages(m->view, 0, MANY);
	vm_mem_set_private(m->vm, MACHINE_GPA, MANY * PAGE_SIZE);
}

static void not_after_a_conversion(void)
{
	const struct stress_op ops[] = {
		{ "populated", populate_private, pattern_pages(0, MANY, 1) },
		{ "made shared, made private", make_shared, NULL },
	};

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	m = machine_create(MANY);
	STRESS(ops);
	machine_free(m);
}

static void *populate_until_moved(void *content)
{
	uint64_t first = 0;
	long n;

	/* By gpa and by the view, which its VM's end ends, too. */
	do {
		n = first % 2 ? populate(m, first, MANY - first, content) :
				populate_offset(m->view, first, 1, content);
		first += n > 0 ? n : 0;
	} while (n > 0 && first < MANY);
	TEST_ASSERT(first == MANY || (n == -1 && errno == EIO), "populate: %ld, errno %d", n,
		    errno);
	return NULL;
}

static void not_after_a_move(void)
{
	void *content = pattern_pages(0, MANY, 1);

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	require_move();
	for (unsigned int i = 0; i < claim_times(MOVES); i++) {
		struct machine *dst;
		pthread_t thread;

		m = machine_create(MANY);
		dst = destination(m);
		pthread_create(&thread, NULL, populate_until_moved, content);
		wait_a_while();
		move(dst, m);
		expect_nothing_more(dst->view, "the VM was moved");
		pthread_join(thread, NULL);
		machine_release(m);
		machine_free(dst);
	}
}

static const struct claim claims[] = {
	CLAIM(whole_or_not_at_all,
	      "a guest that looks meanwhile sees all of a page's content or none"),
	CLAIM(not_after_a_conversion, "no page comes in by gpa once its gfn was made shared"),
	CLAIM(not_after_a_move, "no page comes in by a VM once it was moved"),
};

CLAIMS_MAIN(claims);
