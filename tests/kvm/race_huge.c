// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hole in a folio of 2 MiB against faults on its other pages, which are about to
 * map all of it: what the hole freed is out of reach, and what it did not is there.
 */
#include <pthread.h>
#include <sched.h>

#include "claims.h"
#include "huge.h"
#include "sealing.h"
#include "reuse.h"

#define KEPT	16	/* pages that no hole has any of */
#define ROUNDS	60

static struct machine *a, *b;
static bool stop;

/* Only what stays: a page of the hole, if touched, would come back as zeroes. */
static void guest_code_look(uint64_t n)
{
	for (uint64_t page = 0; page < n; page++) {
		uint64_t got = *(volatile uint64_t *)(MACHINE_GVA + page * PAGE_SIZE);

		__GUEST_ASSERT(got == pattern_word(1, page, 0), "page %lu is %lx", page, got);
	}
	GUEST_RETURN(0);
}

static void *look(void *m)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		machine_call(m, guest_code_look, KEPT, 0, 0);
	return NULL;
}

static void begin(struct reuse *reuse)
{
	cpu_set_t cpu;

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	require_link();
	a = machine_create(HUGE_PAGES);
	b = machine_link(a->view, HUGE_PAGES);
	reuse_init(reuse, HUGE_PAGES);

	/* What one CPU frees it hands out next. */
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpu), &cpu), "sched_setaffinity");
}

static void end(void)
{
	machine_free(b);
	machine_free(a);
}

/* Punches while both guests look, and has somebody else take the pages. */
static void punch_under_guests(struct reuse *reuse, uint64_t first, uint64_t n)
{
	pthread_t guests[2];
	cpu_set_t any;

	stop = false;
	CPU_ZERO(&any);
	CPU_SET(0, &any);
	CPU_SET(1, &any);
	pthread_create(&guests[0], NULL, look, a);
	pthread_create(&guests[1], NULL, look, b);
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++)
		pthread_setaffinity_np(guests[i], sizeof(any), &any);

	usleep(random() % 3000);
	punch_pages(a->view, first, n);
	usleep(random() % 1000);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++)
		pthread_join(guests[i], NULL);

	TEST_ASSERT_EQ(resident(a->view), HUGE_PAGES - n);
	reuse_take(reuse);
}

static void freed_pages_are_out_of_reach(void)
{
	void *content = pattern_pages(0, HUGE_PAGES, 1);
	struct reuse reuse;

	begin(&reuse);
	for (unsigned int round = 0; round < claim_times(ROUNDS); round++) {
		uint64_t first = KEPT + random() % (HUGE_PAGES - KEPT);
		uint64_t n = 1 + random() % (HUGE_PAGES - first);

		TEST_ASSERT_EQ(populate(a, 0, HUGE_PAGES, content), (long)HUGE_PAGES);
		TEST_ASSERT_EQ(huge_folios(), 1UL);
		punch_under_guests(&reuse, first, n);
		guest_expect(a, 0, first, 1);
		guest_expect(b, first + n, HUGE_PAGES - first - n, 1);
		guest_expect(a, first, n, 0);
		guest_expect(b, first, n, 0);
		reuse_give_back(&reuse);
		punch_pages(a->view, 0, HUGE_PAGES);
	}
	end();
}

static const struct claim claims[] = {
	SLOW_CLAIM(freed_pages_are_out_of_reach, 300,
		   "guests that fault on its other pages reach none that a hole has freed"),
};

CLAIMS_MAIN(claims);
