/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Folios of 2 MiB in guest memory inodes, and what KVM maps of them.
 */
#ifndef GMEM_TESTS_HUGE_H
#define GMEM_TESTS_HUGE_H

#include "claims.h"
#include "meminfo.h"
#include "populate.h"

#define HUGE_PAGES	512UL	/* pages of one */

/* How many of them there are on this machine, on which nothing else makes any. */
static inline uint64_t huge_folios(void)
{
	return meminfo("FileHugePages") / (HUGE_PAGES * PAGE_SIZE);
}

/* None, once those of processes that have just ended are gone. */
static inline void expect_no_huge_folio(void)
{
	double until = 0;

	while (huge_folios() && claim_is_patient(&until))
		;
	TEST_ASSERT_EQ(huge_folios(), 0UL);
}

/* How many more huge pages KVM maps once the guest has touched @page. */
static inline int64_t huge_by_touch(struct machine *m, uint64_t page)
{
	uint64_t before = vm_get_stat(m->vm, "pages_2m");

	guest_touch(m, page, 1);
	return vm_get_stat(m->vm, "pages_2m") - before;
}

#endif /* GMEM_TESTS_HUGE_H */
