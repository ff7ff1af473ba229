// SPDX-License-Identifier: GPL-2.0-only
/*
 * To the kernel, guest memory that no process has mapped looks like clean page
 * cache, of which it may take what it likes. It takes none, and what each VM has
 * mapped stays the page that all others find.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "claims.h"
#include "huge.h"
#include "mapped.h"
#include "offline.h"
#include "poison.h"
#include "tracing.h"

#define PAGES	64
#define PAGE	7	/* the one that is to go */

/* A machine with content, and one linked to it that has touched every second page. */
static struct machine *a, *b;

static uint64_t pfn_of(struct machine *m, uint64_t page)
{
	struct stat st;

	TEST_ASSERT(!fstat(m->view, &st), "fstat");
	return trace_fault_pfn(st.st_ino, page);
}

static void begin(void)
{
	require_link();
	trace_start("gmem_fault");
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 3);
	b = machine_link(a->view, PAGES);
	for (uint64_t page = 0; page < PAGES; page += 2)
		guest_touch(b, page, 1);
}

static uint64_t resident_pages(struct machine *m)
{
	struct stat st;

	TEST_ASSERT(!fstat(m->view, &st), "fstat");
	return (uint64_t)st.st_blocks * 512 / PAGE_SIZE;
}

/* Takes all of it out of a VM's stage-2 tables, whose guest finds it again then. */
static void forget_mappings(struct machine *m)
{
	vm_mem_set_shared(m->vm, MACHINE_GPA, m->npages * PAGE_SIZE);
	vm_mem_set_private(m->vm, MACHINE_GPA, m->npages * PAGE_SIZE);
}

static void end(void)
{
	TEST_ASSERT_EQ(resident_pages(a), PAGES);
	guest_expect(a, 0, PAGES, 3);
	guest_expect(b, 0, PAGES, 3);
	/* One page, not two that happen to be alike. */
	guest_write(b, 0, PAGES, 4);
	guest_expect(a, 0, PAGES, 4);
	forget_mappings(a);
	guest_expect(a, 0, PAGES, 4);
}

static void soft_offline_leaves_it(void)
{
	static const uint64_t pages[] = { 0, 5, 6, PAGE, 31, PAGES - 1 };

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		uint64_t pfn = pfn_of(a, pages[i]);
		int ret = soft_offline_frame(pfn);

		TEST_ASSERT(ret, "page %lu was taken", pages[i]);
		TEST_ASSERT(!is_poisoned(pfn), "frame %#lx is marked", pfn);
	}
	end();
}

/* Of a VM whose host may map the page, and never has. */
static void soft_offline_of_a_shared_page(void)
{
	struct machine *m;
	uint64_t pfn;

	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_MMAP,
		       "these modules have no GUEST_MEMFD_FLAG_MMAP");
	trace_start("gmem_fault");
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);
	guest_write(m, 0, PAGES, 3);
	pfn = pfn_of(m, PAGE);
	TEST_ASSERT(soft_offline_frame(pfn), "the page was taken");
	TEST_ASSERT_EQ(resident_pages(m), PAGES);
	host_expect(m, 0, PAGES, 3);
	guest_expect(m, 0, PAGES, 3);
	host_write(m, PAGE, 1, 4);
	guest_expect(m, PAGE, 1, 4);
}

/* It is not split either, for a page that stays where it is. */
static void soft_offline_of_a_huge_page(void)
{
	struct machine *m;
	uint64_t *content;

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	expect_no_huge_folio();
	trace_start("gmem_fault");
	m = machine_create(HUGE_PAGES);
	content = pattern_pages(0, HUGE_PAGES, 3);
	TEST_ASSERT_EQ(populate(m, 0, HUGE_PAGES, content), (long)HUGE_PAGES);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 1);
	TEST_ASSERT(soft_offline_frame(pfn_of(m, PAGE)), "the page was taken");
	TEST_ASSERT_EQ(huge_folios(), 1UL);
	TEST_ASSERT_EQ(resident_pages(m), HUGE_PAGES);
	guest_expect(m, 0, HUGE_PAGES, 3);
	forget_mappings(m);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 1);
	guest_expect(m, 0, HUGE_PAGES, 3);

	/* It is split where that serves something. */
	punch_pages(m->view, PAGE, 1);
	TEST_ASSERT_EQ(huge_folios(), 0UL);
	TEST_ASSERT_EQ(resident_pages(m), HUGE_PAGES - 1);
	guest_expect(m, PAGE, 1, 0);
	guest_expect(m, PAGE + 1, HUGE_PAGES - PAGE - 1, 3);
	machine_free(m);
}

/* All splitting that root can ask for. */
static void split_on_request(void)
{
	struct machine *m;
	uint64_t *content;

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	if (access("/sys/kernel/debug/split_huge_pages", W_OK))
		claim_skip("this kernel has no split_huge_pages in debugfs");
	expect_no_huge_folio();
	m = machine_create(HUGE_PAGES);
	content = pattern_pages(0, HUGE_PAGES, 3);
	TEST_ASSERT_EQ(populate(m, 0, HUGE_PAGES, content), (long)HUGE_PAGES);
	guest_touch(m, 0, HUGE_PAGES);
	write_file("/sys/kernel/debug/split_huge_pages", "1");
	TEST_ASSERT_EQ(huge_folios(), 1UL);
	guest_expect(m, 0, HUGE_PAGES, 3);
	machine_free(m);
}

static void caches_are_dropped(void)
{
	begin();
	TEST_ASSERT(!posix_fadvise(a->view, 0, 0, POSIX_FADV_DONTNEED), "fadvise");
	TEST_ASSERT(!posix_fadvise(b->view, 0, PAGES * PAGE_SIZE, POSIX_FADV_DONTNEED), "fadvise");
	write_file("/proc/sys/vm/drop_caches", "3");
	end();
}

static void memory_is_compacted(void)
{
	begin();
	write_file("/proc/sys/vm/compact_memory", "1");
	end();
}

/* Its group is to give back all it has. */
static void group_is_reclaimed(void)
{
	const char *group;
	int fd, ret;

	cgroups_begin();
	group = cgroup_create("clean");
	cgroup_enter(group);
	begin();
	fd = open(cgroup_path(group, "memory.reclaim"), O_WRONLY);
	if (fd < 0)
		claim_skip("this kernel has no memory.reclaim");
	ret = write(fd, "1G", 2);
	TEST_ASSERT(ret < 0 && errno == EAGAIN, "memory.reclaim: %d, errno %d", ret, errno);
	close(fd);
	end();
	cgroup_enter("");
}

static void memory_goes_offline(void)
{
	require_offline();
	begin();
	expect_stays_online(pfn_of(a, PAGE));
	end();
}

static const struct claim claims[] = {
	CLAIM(soft_offline_leaves_it, "a page that is to be retired for corrected errors stays"),
	CLAIM(soft_offline_of_a_shared_page, "so does one that the host may map, and has not"),
	CLAIM(soft_offline_of_a_huge_page, "so does one of a folio of 2 MiB, which stays whole"),
	CLAIM(split_on_request, "nobody but its inode, and memory failure, splits such a folio"),
	CLAIM(caches_are_dropped, "drop_caches and POSIX_FADV_DONTNEED take none"),
	CLAIM(memory_is_compacted, "compaction moves none"),
	CLAIM(group_is_reclaimed, "memory.reclaim of the cgroup that pays gets none back"),
	CLAIM(memory_goes_offline, "a memory block that is to go offline stays"),
};

CLAIMS_MAIN(claims);
