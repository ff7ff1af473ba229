// SPDX-License-Identifier: GPL-2.0-only
/*
 * A poisoned page is never cleared, which would be a machine check. Every place that
 * clears pages of an inode:
 *
 *	gmem_free_folio(): the page goes, by a hole		hole
 *	the same, with the last view				last_release
 *	gmem_huge_clear(): a hole in a folio that can't be split	hole_in_unsplit_folio
 *	kvm_gmem_unmap(): KVM had it mapped when it went	tests/sev/poison_mapped
 *	gmem_folio_clear_freed(): again, after a hole's flush	none: encrypted guests only
 *	gmem_folio_make_zero(): a launch update failed there	none: SNP's launch updates only
 *
 * Beside each bad page is a good one that is cleared. The first two need a lab with
 * init_on_alloc=0, the third one the debug kernel's fault injection.
 */
#include <sys/stat.h>

#include "claims.h"
#include "clearing.h"
#include "failing.h"
#include "huge.h"
#include "poison.h"
#include "tracing.h"

#define PAGES	8
#define BAD	3
#define GOOD	4

static struct machine *m;
static uint64_t bad, good;

static uint64_t pfn_of(uint64_t page)
{
	struct stat st;

	TEST_ASSERT(!fstat(m->view, &st), "fstat");
	return trace_fault_pfn(st.st_ino, page);
}

static void watch(void)
{
	bad = pfn_of(BAD);
	good = pfn_of(GOOD);
	clearing_watch(bad, good);
}

static void expect_only_good_cleared(void)
{
	TEST_ASSERT(was_cleared(good), "the good page was not cleared");
	TEST_ASSERT(!was_cleared(bad), "the bad page was cleared");
	TEST_ASSERT(is_poisoned(bad), "page frame %#lx is not marked any more", bad);
}

static void poisoned_machine(void)
{
	if (allocator_clears())
		claim_skip("the kernel clears pages when it allocates them");
	trace_start("gmem_fault");
	m = machine_create(PAGES);
	guest_write(m, 0, PAGES, 5);
	watch();
	TEST_ASSERT(poison_pfn(poison_open(), bad), "hard_offline_page");
}

static void hole(void)
{
	poisoned_machine();
	punch_pages(m->view, 0, PAGES);
	expect_only_good_cleared();
}

static void last_release(void)
{
	poisoned_machine();
	machine_free(m);
	expect_only_good_cleared();
}

/* Neither memory failure nor the hole can split it, for want of memory. */
static void hole_in_unsplit_folio(void)
{
	int fd, err;

	require_fault_injection();
	trace_start("gmem_fault");
	m = machine_create(HUGE_PAGES);
	TEST_ASSERT_EQ(populate(m, 0, HUGE_PAGES, pattern_pages(0, HUGE_PAGES, 3)),
		       (long)HUGE_PAGES);
	TEST_ASSERT_EQ(huge_folios(), 1UL);
	guest_touch(m, BAD, 1);
	bad = pfn_of(BAD);
	good = bad + GOOD - BAD;
	clearing_watch(bad, good);

	fd = poison_open();
	/* What is written to the file by which it is reported takes 16. */
	fail_slab_allocations_but("24");
	err = poison_report(fd, bad);
	punch_pages(m->view, BAD, GOOD - BAD + 1);
	fail_slab_allocations(false);
	TEST_ASSERT_EQ(err, EHWPOISON);
	expect_only_good_cleared();
}

static const struct claim claims[] = {
	CLAIM(hole, "not when a hole takes it"),
	CLAIM(last_release, "nor when the last view goes"),
	CLAIM(hole_in_unsplit_folio, "nor by a hole in a folio of 2 MiB that can't be split"),
};

CLAIMS_MAIN(claims);
