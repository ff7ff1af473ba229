// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest finds in its private memory, who pays for it, and that it stays
 * where it is.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "claims.h"
#include "machine.h"
#include "tracing.h"

#define PAGES	512
#define KPF_UNEVICTABLE	(1ULL << 18)

static void starts_zeroed(void)
{
	size_t size = 64 << 20;
	struct machine *m = machine_create(PAGES);
	void *dirt = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* Leave something in the free pages that must not be found. */
	TEST_ASSERT(dirt != MAP_FAILED, "mmap");
	memset(dirt, 0xa5, size);
	munmap(dirt, size);
	guest_expect(m, 0, PAGES, 0);
	machine_free(m);
}

static void allocated_is_zeroed(void)
{
	struct machine *m = machine_create(PAGES);

	allocate_pages(m->view, 0, PAGES);
	guest_expect(m, 0, PAGES, 0);
	machine_free(m);
}

static void allocate_keeps_content(void)
{
	struct machine *m = machine_create(PAGES);

	guest_write(m, 1, 1, 7);
	allocate_pages(m->view, 0, PAGES);
	guest_expect(m, 0, 1, 0);
	guest_expect(m, 1, 1, 7);
	guest_expect(m, 2, PAGES - 2, 0);
	machine_free(m);
}

static void hole_reads_zero(void)
{
	struct machine *m = machine_create(PAGES);

	guest_write(m, 0, PAGES, 7);
	punch_pages(m->view, 10, 20);
	guest_expect(m, 0, 10, 7);
	guest_expect(m, 10, 20, 0);
	guest_expect(m, 30, PAGES - 30, 7);
	guest_write(m, 10, 20, 8);
	guest_expect(m, 10, 20, 8);
	machine_free(m);
}

static void hole_past_the_end_spares_the_rest(void)
{
	struct machine *m = machine_create(PAGES);

	guest_write(m, 0, PAGES, 7);
	punch_pages(m->view, PAGES, 16);
	guest_expect(m, 0, PAGES, 7);
	punch_pages(m->view, PAGES - 1, 16);
	guest_expect(m, 0, PAGES - 1, 7);
	guest_expect(m, PAGES - 1, 1, 0);
	machine_free(m);
}

static void conversion_keeps_private_content(void)
{
	struct machine *m = machine_create(PAGES);

	guest_write(m, 0, PAGES, 7);
	vm_mem_set_shared(m->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	vm_mem_set_private(m->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	guest_expect(m, 0, PAGES, 7);
	machine_free(m);
}

static void faulter_pays(void)
{
	const char *maker, *faulter;
	struct machine *m;

	cgroups_begin();
	maker = cgroup_create("maker");
	faulter = cgroup_create("faulter");

	cgroup_enter(maker);
	m = machine_create(PAGES);
	cgroup_enter(faulter);
	guest_touch(m, 0, PAGES);
	cgroup_expect_pages(faulter, PAGES, ~0UL);
	cgroup_expect_pages(maker, 0, PAGES / 4);
	punch_pages(m->view, 0, PAGES);
	cgroup_expect_pages(faulter, 0, PAGES / 4);
}

static void filler_pays(void)
{
	const char *filler;
	struct machine *m;
	int status;

	cgroups_begin();
	filler = cgroup_create("filler");
	m = machine_create(PAGES);
	if (!fork()) {
		cgroup_enter(filler);
		allocate_pages(m->view, 0, PAGES);
		_exit(0);
	}
	TEST_ASSERT(wait(&status) > 0 && !status, "the filler's status is %#x", status);
	guest_touch(m, 0, PAGES);
	cgroup_expect_pages(filler, PAGES, ~0UL);
}

static void reclaim_takes_nothing(void)
{
	const char *group;
	struct machine *m;
	int fd;

	cgroups_begin();
	group = cgroup_create("reclaimed");
	cgroup_enter(group);
	m = machine_create(PAGES);
	guest_write(m, 0, PAGES, 9);

	/* Fails with EAGAIN, since it does not get as much as it is told to. */
	fd = open(cgroup_path(group, "memory.reclaim"), O_WRONLY);
	TEST_ASSERT(fd >= 0, "open memory.reclaim");
	TEST_ERRNO(write(fd, "1G", 2), EAGAIN);
	write_file("/proc/sys/vm/drop_caches", "3");

	cgroup_expect_pages(group, PAGES, ~0UL);
	guest_expect(m, 0, PAGES, 9);
}

static uint64_t page_flags(uint64_t pfn)
{
	uint64_t flags = 0;
	int fd = open("/proc/kpageflags", O_RDONLY);

	TEST_ASSERT(fd >= 0, "open /proc/kpageflags");
	TEST_ASSERT(pread(fd, &flags, sizeof(flags), pfn * sizeof(flags)) == sizeof(flags),
		    "read /proc/kpageflags");
	close(fd);
	return flags;
}

static void compaction_moves_nothing(void)
{
	struct machine *m;
	uint64_t pfn[PAGES];
	struct stat st;

	trace_start("gmem_fault");
	m = machine_create(PAGES);
	TEST_ASSERT(!fstat(m->view, &st), "fstat");
	guest_write(m, 0, PAGES, 9);
	for (int i = 0; i < PAGES; i += 32)
		pfn[i] = trace_fault_pfn(st.st_ino, i);

	/* Which drains the LRU batches, so that the flags are settled too. */
	write_file("/proc/sys/vm/compact_memory", "1");

	machine_unbind(m);
	machine_bind(m, 0);
	trace_clear();
	guest_expect(m, 0, PAGES, 9);
	for (int i = 0; i < PAGES; i += 32) {
		TEST_ASSERT_EQ(trace_fault_pfn(st.st_ino, i), pfn[i]);
		TEST_ASSERT(page_flags(pfn[i]) & KPF_UNEVICTABLE, "flags of page %d: %#lx", i,
			    page_flags(pfn[i]));
	}
	machine_free(m);
}

static const struct claim claims[] = {
	CLAIM(starts_zeroed, "the first touch of a page finds zeroes"),
	CLAIM(allocated_is_zeroed, "a page allocated ahead is all zeroes"),
	CLAIM(allocate_keeps_content, "allocating leaves what is resident as it is"),
	CLAIM(hole_reads_zero, "a hole reads as zeroes and can be written, its neighbours stay"),
	CLAIM(hole_past_the_end_spares_the_rest,
	      "a hole past the end takes no page that is inside"),
	CLAIM(conversion_keeps_private_content, "to shared and back, private content stays"),
	CLAIM(faulter_pays, "the memory cgroup of the task that faults is charged"),
	CLAIM(filler_pays, "the memory cgroup of the task that allocates is charged"),
	CLAIM(reclaim_takes_nothing, "reclaim and drop_caches take no page"),
	CLAIM(compaction_moves_nothing, "compaction moves no page, and each is unevictable"),
};

CLAIMS_MAIN(claims);
