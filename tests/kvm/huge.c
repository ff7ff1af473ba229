// SPDX-License-Identifier: GPL-2.0-only
/*
 * Folios of 2 MiB: they come by populating and are mapped as a whole, and what
 * happens to one of their pages happens to that one.
 */
#include <sys/mman.h>

#include "cgroup.h"
#include "claims.h"
#include "huge.h"
#include "mapped.h"
#include "paging.h"
#include "poison.h"
#include "sealing.h"
#include "tracing.h"

#define FOLIOS	3
#define PAGES	(FOLIOS * HUGE_PAGES)
#define PAGE	(HUGE_PAGES + 77)	/* one in the middle */

static struct machine *m;
static uint64_t *pages;

static void begin(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	expect_no_huge_folio();
	m = machine_create(PAGES);
	pages = pattern_pages(0, PAGES, 3);
}

static void fill(void)
{
	TEST_ASSERT_EQ(populate(m, 0, PAGES, pages), (long)PAGES);
	TEST_ASSERT_EQ(huge_folios(), FOLIOS);
}

static void end(void)
{
	machine_free(m);
	expect_no_huge_folio();
}

/* Page @page is @pattern, all others are as populated. */
static void expect_all_but(uint64_t page, uint64_t pattern)
{
	guest_expect(m, 0, page, 3);
	guest_expect(m, page, 1, pattern);
	guest_expect(m, page + 1, PAGES - page - 1, 3);
}

static void come_by_populating(void)
{
	begin();
	fill();
	TEST_ASSERT_EQ(resident(m->view), PAGES);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 1);
	TEST_ASSERT_EQ(huge_by_touch(m, 0), 1);
	guest_expect(m, 0, PAGES, 3);
	guest_write(m, 0, PAGES, 4);
	guest_expect(m, 0, PAGES, 4);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), FOLIOS);
	end();
}

static void zeroes_and_offsets(void)
{
	int handle;

	begin();
	handle = filler_of(m->view);
	TEST_ASSERT_EQ(populate(m, 0, HUGE_PAGES, NULL), (long)HUGE_PAGES);
	TEST_ASSERT_EQ(populate_offset(handle, HUGE_PAGES, HUGE_PAGES, pages + HUGE_PAGES * 512),
		       (long)HUGE_PAGES);
	TEST_ASSERT_EQ(populate_offset(m->view, 2 * HUGE_PAGES, HUGE_PAGES,
				       pages + 2 * HUGE_PAGES * 512), (long)HUGE_PAGES);
	TEST_ASSERT_EQ(huge_folios(), FOLIOS);
	guest_expect(m, 0, HUGE_PAGES, 0);
	guest_expect(m, HUGE_PAGES, 2 * HUGE_PAGES, 3);
	close(handle);
	end();
}

/* From the middle of one range to the middle of another: what is between is huge. */
static void from_anywhere_to_anywhere(void)
{
	static const uint64_t firsts[] = { 1, 3, 31, 32, 33, HUGE_PAGES - 1 };

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(firsts); i++) {
		uint64_t first = firsts[i], n = PAGES - first - 7;

		TEST_ASSERT_EQ(populate(m, first, n, pages + first * 512), (long)n);
		TEST_ASSERT_EQ(huge_folios(), FOLIOS - 2);
		TEST_ASSERT_EQ(resident(m->view), n);
		guest_expect(m, first, n, 3);
		guest_expect(m, first + n, 7, 0);
		guest_expect(m, 0, first, 0);
		punch_pages(m->view, 0, PAGES);
		TEST_ASSERT_EQ(resident(m->view), 0UL);
	}
	end();
}

/* Bound elsewhere than the folios begin: no huge page of the guest's fits on one. */
static void mapped_by_pages_where_none_fits(void)
{
	static const uint64_t offsets[] = { 1, HUGE_PAGES / 2, HUGE_PAGES };

	begin();
	fill();
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		machine_unbind(m);
		m->npages = PAGES - offsets[i];
		machine_bind(m, offsets[i]);
		TEST_ASSERT_EQ(huge_by_touch(m, 5), offsets[i] % HUGE_PAGES ? 0 : 1);
		TEST_ASSERT_EQ(guest_try_write(m, 5, 6 + i), 0);
		TEST_ASSERT_EQ(guest_try_expect(m, 5, 6 + i), 0);
	}
	/* Each was written where it belongs. */
	machine_unbind(m);
	m->npages = PAGES;
	machine_bind(m, 0);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		uint64_t page = offsets[i] + 5;

		guest_expect(m, page + 1, 1, 3);
		guest_expect(m, page - 1, 1, 3);
	}
	end();
}

static void a_hole_of_a_page(void)
{
	begin();
	fill();
	guest_touch(m, 0, PAGES);
	punch_pages(m->view, PAGE, 1);
	TEST_ASSERT_EQ(resident(m->view), PAGES - 1);
	TEST_ASSERT_EQ(huge_folios(), FOLIOS - 1);
	expect_all_but(PAGE, 0);
	TEST_ASSERT_EQ(populate(m, PAGE, 1, pattern_pages(PAGE, 1, 9)), -1L);
	TEST_ASSERT_EQ(errno, EEXIST);
	end();
}

/* By where the hole begins and ends, in pages; and how many folios are whole then. */
static void holes_of_all_kinds(void)
{
	static const struct {
		uint64_t first, n, whole;
	} holes[] = {
		{ 0, 1, 2 }, { HUGE_PAGES - 1, 1, 2 }, { HUGE_PAGES - 1, 2, 1 },
		{ 5, HUGE_PAGES, 1 }, { 0, HUGE_PAGES, 2 }, { 5, 2 * HUGE_PAGES, 0 },
		{ HUGE_PAGES, HUGE_PAGES + 1, 1 }, { 1, HUGE_PAGES - 1, 2 }, { 0, PAGES, 0 },
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
		uint64_t first = holes[i].first, n = holes[i].n, last = first + n;

		fill();
		guest_touch(m, 0, PAGES);
		punch_pages(m->view, first, n);
		TEST_ASSERT_EQ(resident(m->view), PAGES - n);
		TEST_ASSERT_EQ(huge_folios(), holes[i].whole);
		guest_expect(m, 0, first, 3);
		guest_expect(m, first, n, 0);
		guest_expect(m, last, PAGES - last, 3);
		punch_pages(m->view, 0, PAGES);
	}
	end();
}

static void where_a_page_stands(void)
{
	begin();
	guest_write(m, PAGE, 1, 9);
	TEST_ASSERT_EQ(populate(m, 0, PAGES, pages), (long)PAGE);
	TEST_ERRNO(populate(m, PAGE, PAGES - PAGE, pages), EEXIST);
	TEST_ASSERT_EQ(populate(m, PAGE + 1, PAGES - PAGE - 1, pages + (PAGE + 1) * 512),
		       (long)(PAGES - PAGE - 1));
	TEST_ASSERT_EQ(huge_folios(), FOLIOS - 1);
	expect_all_but(PAGE, 9);
	end();
}

static void content_that_ends(void)
{
	begin();
	TEST_ASSERT(!munmap(pages + PAGE * 512, PAGE_SIZE), "munmap");
	TEST_ASSERT_EQ(populate(m, 0, PAGES, pages), (long)PAGE);
	TEST_ERRNO(populate(m, PAGE, 1, pages + PAGE * 512), EFAULT);
	TEST_ASSERT_EQ(resident(m->view), PAGE);
	TEST_ASSERT_EQ(huge_folios(), 1UL);
	guest_expect(m, 0, PAGE, 3);
	end();
}

static void a_page_becomes_shared(void)
{
	begin();
	fill();
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 1);
	vm_mem_set_shared(m->vm, MACHINE_GPA + PAGE * PAGE_SIZE, PAGE_SIZE);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE + 1), 0);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), 0UL);
	guest_expect(m, HUGE_PAGES, 77, 3);
	guest_expect(m, PAGE + 1, PAGES - PAGE - 1, 3);

	/* A range with a shared gfn is populated up to that, which is no huge one. */
	punch_pages(m->view, 0, PAGES);
	TEST_ASSERT_EQ(populate(m, 0, PAGES, pages), (long)PAGE);
	TEST_ERRNO(populate(m, PAGE, 1, pages), EINVAL);
	TEST_ASSERT_EQ(huge_folios(), 1UL);
	end();
}

static void none_where_the_host_may_map(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	m = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_PRIVATE);
	TEST_ASSERT_EQ(populate(m, 0, PAGES, pattern_pages(0, PAGES, 3)), (long)PAGES);
	TEST_ASSERT_EQ(huge_folios(), 0UL);
	guest_expect(m, 0, PAGES, 3);
	end();
}

static void a_page_goes_bad(void)
{
	struct stat st;
	uint64_t pfn;

	trace_start("gmem_fault");
	begin();
	fill();
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 1);
	TEST_ASSERT(!fstat(m->view, &st), "fstat");
	pfn = trace_fault_pfn(st.st_ino, PAGE);
	TEST_ASSERT(poison_pfn(poison_open(), pfn), "hard_offline_page of frame %#lx", pfn);
	expect_memory_fault(m, PAGE, EHWPOISON);
	guest_expect(m, 0, PAGE, 3);
	guest_expect(m, PAGE + 1, PAGES - PAGE - 1, 3);

	punch_pages(m->view, PAGE, 1);
	expect_all_but(PAGE, 0);
	end();
}

/* Asked from the middle of one to the middle of another, past a hole. */
static void which_pages_there_are(void)
{
	struct kvm_gmem_present_range ranges[4];
	struct kvm_gmem_present args = {
		.offset = 5 * PAGE_SIZE,
		.size = (2 * HUGE_PAGES) * PAGE_SIZE,
		.ranges = (uintptr_t)ranges,
		.nr = ARRAY_SIZE(ranges),
	};

	begin();
	fill();
	punch_pages(m->view, PAGE, 1);
	TEST_ASSERT(!ioctl(m->view, KVM_GMEM_PRESENT, &args), "errno %d", errno);
	TEST_ASSERT_EQ(args.nr, 2U);
	TEST_ASSERT_EQ(args.size, 0UL);
	TEST_ASSERT_EQ(ranges[0].offset, 5 * PAGE_SIZE);
	TEST_ASSERT_EQ(ranges[0].size, (PAGE - 5) * PAGE_SIZE);
	TEST_ASSERT_EQ(ranges[1].offset, (PAGE + 1) * PAGE_SIZE);
	TEST_ASSERT_EQ(ranges[1].size, (2 * HUGE_PAGES + 5 - PAGE - 1) * PAGE_SIZE);
	end();
}

static void a_pager_answers_with_them(void)
{
	uint64_t missing = ~0ULL;
	int pager;

	require_pager();
	begin();
	pager = __pager(m->view, 0, PAGE, 0);
	TEST_ASSERT(pager >= 0, "KVM_GMEM_CREATE_PAGER: errno %d", errno);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, 0, HUGE_PAGES, pages), 0);
	TEST_ASSERT_EQ(huge_folios(), 1UL);

	/* Of the second one not all is owed. */
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, HUGE_PAGES, HUGE_PAGES,
			      pages + HUGE_PAGES * 512), ENOENT);
	TEST_ASSERT_EQ(huge_folios(), 1UL);
	TEST_ASSERT_EQ(resident(m->view), PAGE);
	guest_expect(m, 0, PAGE, 3);
	guest_expect(m, PAGE, 1, 0);

	/* All that is owed is there, and counted. */
	TEST_ASSERT(!detach(pager, 0, &missing), "detach: errno %d, %lu are missing", errno,
		    missing);
	close(pager);
	end();
}

/* It is told how many are missing, of what it owes of a folio and behind it. */
static void a_pager_of_a_part(void)
{
	uint64_t missing = ~0ULL;
	int pager;

	require_pager();
	begin();
	TEST_ASSERT_EQ(populate(m, 0, HUGE_PAGES, pages), (long)HUGE_PAGES);
	TEST_ASSERT_EQ(huge_folios(), 1UL);
	pager = __pager(m->view, 5, HUGE_PAGES + 5, 0);
	TEST_ASSERT(pager >= 0, "KVM_GMEM_CREATE_PAGER: errno %d", errno);
	TEST_ERRNO(detach(pager, 0, &missing), EBUSY);
	TEST_ASSERT_EQ(missing, 10UL);

	TEST_ASSERT_EQ(populate(m, HUGE_PAGES, HUGE_PAGES, pages + HUGE_PAGES * 512),
		       (long)HUGE_PAGES);
	TEST_ASSERT_EQ(huge_folios(), 2UL);
	TEST_ASSERT(!detach(pager, 0, &missing), "detach: errno %d, %lu are missing", errno,
		    missing);
	close(pager);
	guest_expect(m, 0, 2 * HUGE_PAGES, 3);
	end();
}

/* What counts is that the host can't map them, not that the inode has no flag. */
static void come_by_write(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_WRITE);
	begin();
	machine_unbind(m);
	machine_close_view(m);
	m->view = vm_create_guest_memfd(m->vm, PAGES * PAGE_SIZE, GUEST_MEMFD_FLAG_WRITE);
	machine_bind(m, 0);

	/* One page first, which goes by itself: the rest of its 2 MiB too. */
	TEST_ASSERT_EQ(pwrite(m->view, pages, PAGE_SIZE, 0), PAGE_SIZE);
	TEST_ASSERT_EQ(pwrite(m->view, pages + 512, (PAGES - 1) * PAGE_SIZE, PAGE_SIZE),
		       (PAGES - 1) * PAGE_SIZE);
	TEST_ASSERT_EQ(huge_folios(), FOLIOS - 1);
	TEST_ASSERT_EQ(resident(m->view), PAGES);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 1);
	guest_expect(m, 0, PAGES, 3);
	TEST_ERRNO(pwrite(m->view, pages, PAGE_SIZE, PAGE * PAGE_SIZE), EEXIST);

	punch_pages(m->view, PAGE, 1);
	TEST_ASSERT_EQ(resident(m->view), PAGES - 1);
	expect_all_but(PAGE, 0);

	punch_pages(m->view, 0, PAGES);
	fill();
	guest_expect(m, 0, PAGES, 3);
	end();
}

static void charged_to_who_populates(void)
{
	const char *group;

	begin();
	cgroups_begin();
	group = cgroup_create("huge");
	cgroup_enter(group);
	fill();
	cgroup_expect_pages(group, PAGES, PAGES);
	punch_pages(m->view, PAGE, 1);
	cgroup_expect_pages(group, PAGES - 1, PAGES - 1);
	cgroup_enter("");
	end();
}

static const struct claim claims[] = {
	CLAIM(come_by_populating, "2 MiB that are populated at once are one folio, mapped at once"),
	CLAIM(zeroes_and_offsets, "so are zeroes, and what comes by offset or a handle"),
	CLAIM(from_anywhere_to_anywhere, "what is over at either end comes by pages"),
	CLAIM(mapped_by_pages_where_none_fits,
	      "bound at another offset in 2 MiB they are mapped by pages, the right ones"),
	CLAIM(come_by_write, "write(2) brings them to an inode that the host can't map"),
	CLAIM(a_hole_of_a_page, "a hole of one page takes that page, and nothing else"),
	CLAIM(holes_of_all_kinds, "so do holes that begin or end anywhere"),
	CLAIM(where_a_page_stands, "where a page stands, populating ends there, as without"),
	CLAIM(content_that_ends, "where the content ends in the middle, populating ends there"),
	CLAIM(a_page_becomes_shared, "a page made shared is out of reach, others stay"),
	CLAIM(none_where_the_host_may_map, "there are none where the host may map pages"),
	CLAIM(a_page_goes_bad, "a page of one goes bad: the guest loses that one"),
	CLAIM(which_pages_there_are, "KVM_GMEM_PRESENT tells of their pages that were asked for"),
	CLAIM(a_pager_answers_with_them, "a pager's answers of 2 MiB are such folios"),
	CLAIM(a_pager_of_a_part, "which counts what it owes of them, and no more"),
	CLAIM(charged_to_who_populates, "all pages of one are charged to who populates"),
};

CLAIMS_MAIN(claims);
