// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that are populated under a guest that reads them, and two that
 * populate the same: a page is there whole or not at all.
 */
#include <sys/mman.h>

#include "claims.h"
#include "hammer.h"
#include "populate.h"

#define PAGES	64
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
	const struct blow blows[] = {
		{ "the guest", look, NULL },
		{ "holes, populated", empty_and_populate, pattern_pages(0, PAGES, 0) },
		{ "populated, too", populate_too, pattern_pages(0, PAGES, 0) },
		{ "allocated", allocate, NULL },
	};

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	m = machine_create(PAGES);
	HAMMER(blows);
	machine_free(m);
}

static const struct claim claims[] = {
	CLAIM(whole_or_not_at_all,
	      "a guest that looks meanwhile sees all of a page's content or none"),
};

CLAIMS_MAIN(claims);
