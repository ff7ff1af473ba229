// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an operator sees: fdinfo and trace/events/gmem.
 */
#include <sys/stat.h>

#include "claims.h"
#include "fdinfo.h"
#include "machine.h"
#include "mapped.h"
#include "tracing.h"

#define PAGES	16
#define TOUCHED	256		/* pages, where references are counted */

static uint64_t ino_of(int fd)
{
	struct stat st;

	TEST_ASSERT(!fstat(fd, &st), "fstat");
	return st.st_ino;
}

static const char *ino_field(int fd)
{
	static char field[32];

	snprintf(field, sizeof(field), "ino %lu", ino_of(fd));
	return field;
}

static void has_every_line(void)
{
	static const char * const keys[] = {
		"ino", "size", "flags", "resident", "allocated", "freed", "views", "bindings",
	};
	int fd;

	require_link();
	fd = vm_create_guest_memfd(idle_vm(), PAGES * PAGE_SIZE, 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		fdinfo(fd, keys[i]);
}

static void tells_the_inode(void)
{
	char flags[32];
	int fd;

	require_link();
	fd = vm_create_guest_memfd(idle_vm(), PAGES * PAGE_SIZE, 0);
	TEST_ASSERT_EQ(fdinfo(fd, "ino"), ino_of(fd));
	TEST_ASSERT_EQ(fdinfo(fd, "size"), (uint64_t)PAGES * PAGE_SIZE);
	TEST_ASSERT(fdinfo_text(fd, "flags", flags, sizeof(flags)) && !strncmp(flags, "0x0", 3),
		    "flags are %s", flags);
}

static void counts_pages(void)
{
	struct machine *m;

	require_link();
	m = machine_create(PAGES);
	TEST_ASSERT_EQ(fdinfo(m->view, "resident"), 0UL);
	guest_touch(m, 0, 5);
	guest_touch(m, 0, 5);
	TEST_ASSERT_EQ(fdinfo(m->view, "resident"), 5UL);
	TEST_ASSERT_EQ(fdinfo(m->view, "allocated"), 5UL);
	TEST_ASSERT_EQ(fdinfo(m->view, "freed"), 0UL);
	allocate_pages(m->view, 4, 4);
	TEST_ASSERT_EQ(fdinfo(m->view, "allocated"), 8UL);
	punch_pages(m->view, 1, 2);
	TEST_ASSERT_EQ(fdinfo(m->view, "resident"), 6UL);
	TEST_ASSERT_EQ(fdinfo(m->view, "freed"), 2UL);
	guest_touch(m, 0, PAGES);
	TEST_ASSERT_EQ(fdinfo(m->view, "resident"), (uint64_t)PAGES);
	TEST_ASSERT_EQ(fdinfo(m->view, "allocated"), PAGES + 2UL);
	TEST_ASSERT_EQ(fdinfo(m->view, "freed"), 2UL);
}

static void failed_requests_count_nothing(void)
{
	struct machine *m;

	require_link();
	m = machine_create(PAGES);
	machine_unbind(m);
	expect_memory_fault(m, 0, EFAULT);
	TEST_ASSERT(fallocate(m->view, 1, 0, (PAGES + 1) * PAGE_SIZE), "allocate past the end");
	TEST_ASSERT_EQ(fdinfo(m->view, "allocated"), 0UL);
}

static void counts_views_and_bindings(void)
{
	struct machine *a, *b;

	require_link();
	a = machine_create(PAGES);
	TEST_ASSERT_EQ(fdinfo(a->view, "views"), 1UL);
	TEST_ASSERT_EQ(fdinfo(a->view, "bindings"), 1UL);
	b = machine_bare(PAGES / 2);
	b->view = link_view(b->vm, a->view);
	TEST_ASSERT_EQ(fdinfo(a->view, "views"), 2UL);
	TEST_ASSERT_EQ(fdinfo(b->view, "views"), 2UL);
	TEST_ASSERT_EQ(fdinfo(b->view, "bindings"), 0UL);
	machine_bind(b, 0);
	vm_set_user_memory_region2(b->vm, MACHINE_SLOT + 1, KVM_MEM_GUEST_MEMFD, 2 * MACHINE_GPA,
				   PAGE_SIZE, NULL, b->view, PAGES / 2 * PAGE_SIZE);
	/* A view tells of its own bindings only. */
	TEST_ASSERT_EQ(fdinfo(b->view, "bindings"), 2UL);
	TEST_ASSERT_EQ(fdinfo(a->view, "bindings"), 1UL);
	machine_unbind(b);
	TEST_ASSERT_EQ(fdinfo(b->view, "bindings"), 1UL);
	machine_free(b);
	TEST_ASSERT_EQ(fdinfo(a->view, "views"), 1UL);
}

static void is_named(void)
{
	char path[64], name[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d",
		 vm_create_guest_memfd(idle_vm(), PAGE_SIZE, 0));
	TEST_ASSERT(readlink(path, name, sizeof(name) - 1) > 0, "readlink %s", path);
	TEST_ASSERT(!strncmp(name, "anon_inode:[kvm-gmem]", 21), "its name is %s", name);
}

static void traces_create_and_link(void)
{
	int view;

	trace_start("gmem_create");
	trace_start("gmem_link");
	view = vm_create_guest_memfd(idle_vm(), PAGE_SIZE, 0);
	TEST_ASSERT_EQ(trace_count("gmem_create", ino_field(view)), 1U);
	TEST_ASSERT_EQ(trace_count("gmem_link", ino_field(view)), 0U);
	link_view(idle_vm(), view);
	TEST_ASSERT_EQ(trace_count("gmem_create", ino_field(view)), 1U);
	TEST_ASSERT_EQ(trace_count("gmem_link", ino_field(view)), 1U);
	TEST_ERRNO(__link_view(idle_vm(), -1), EINVAL);
	TEST_ASSERT_EQ(trace_count("gmem_link", ino_field(view)), 1U);
}

static void traces_bindings(void)
{
	struct machine *m;

	trace_start("gmem_bind");
	trace_start("gmem_unbind");
	m = machine_create(PAGES);
	TEST_ASSERT_EQ(trace_count("gmem_bind", ino_field(m->view)), 1U);
	machine_unbind(m);
	TEST_ASSERT_EQ(trace_count("gmem_unbind", ino_field(m->view)), 1U);
}

static void traces_pages(void)
{
	struct machine *m;
	char pfn[32];

	trace_start("gmem_fault");
	trace_start("gmem_invalidate");
	trace_start("gmem_free");
	m = machine_create(PAGES);
	guest_touch(m, 0, 3);
	TEST_ASSERT_EQ(trace_count("gmem_fault", ino_field(m->view)), 3U);
	snprintf(pfn, sizeof(pfn), "pfn 0x%lx", trace_fault_pfn(ino_of(m->view), 2));
	TEST_ASSERT_EQ(trace_count("gmem_free", pfn), 0U);
	punch_pages(m->view, 2, 1);
	TEST_ASSERT_EQ(trace_count("gmem_invalidate", ino_field(m->view)), 1U);
	TEST_ASSERT_EQ(trace_count("gmem_free", pfn), 1U);
}

/*
 * References to a file are taken and given back on a cache line that all vCPUs share. Other
 * processes give back some meanwhile: the least of three tries counts.
 */
static void expect_one_file_reference(struct machine *(*create)(void))
{
	unsigned long least = ~0UL;

	for (int i = 0; i < 3; i++) {
		struct machine *m = create();
		unsigned long before;

		guest_touch(m, 0, 1);
		before = trace_calls();
		guest_touch(m, 1, TOUCHED);
		least = min(least, trace_calls() - before);
		machine_free(m);
	}
	pr_info("%lu references for %d pages\n", least, TOUCHED);
	TEST_ASSERT(least >= TOUCHED && least <= TOUCHED + TOUCHED / 8,
		    "%lu references for %d pages", least, TOUCHED);
}

static struct machine *create_private(void)
{
	return machine_create(TOUCHED + 1);
}

static struct machine *create_mapped(void)
{
	return mapped_create(KVM_X86_DEFAULT_VM, TOUCHED + 1, MMAP_SHARED);
}

static void one_reference_a_touch(void)
{
	require_link();
	trace_calls_start("fput");
	expect_one_file_reference(create_private);
	expect_one_file_reference(create_mapped);
}

static void one_walk_of_caches_a_hole(void)
{
	struct machine *m;
	unsigned long before;

	require_link();
	m = machine_bare(PAGES);
	m->view = vm_create_guest_memfd(m->vm, 2 * PAGES * PAGE_SIZE, 0);
	machine_bind(m, 0);
	vm_set_user_memory_region2(m->vm, MACHINE_SLOT + 1, KVM_MEM_GUEST_MEMFD, 2 * MACHINE_GPA,
				   PAGES * PAGE_SIZE, NULL, m->view, PAGES * PAGE_SIZE);
	TEST_ASSERT_EQ(fdinfo(m->view, "bindings"), 2UL);
	trace_calls_start("kvm_gmem_cache_invalidate");
	before = trace_calls();
	punch_pages(m->view, 0, 2 * PAGES);
	TEST_ASSERT_EQ(trace_calls() - before, 1UL);
}

static const struct claim claims[] = {
	CLAIM(has_every_line, "fdinfo has each of its gmem- lines, a number"),
	CLAIM(tells_the_inode, "fdinfo tells the inode's number, size and flags"),
	CLAIM(counts_pages, "fdinfo counts pages resident, ever allocated and ever freed"),
	CLAIM(failed_requests_count_nothing, "what fails is not counted as allocated"),
	CLAIM(counts_views_and_bindings, "fdinfo counts the inode's views and the view's bindings"),
	CLAIM(is_named, "the file is named anon_inode:[kvm-gmem] in /proc, as in Linux 6.12"),
	CLAIM(traces_create_and_link, "gmem_create and gmem_link fire once each, with the inode"),
	CLAIM(traces_bindings, "gmem_bind and gmem_unbind fire with the inode"),
	CLAIM(traces_pages, "gmem_fault, gmem_invalidate and gmem_free fire for each page"),
	CLAIM(one_reference_a_touch, "a first touch takes one reference to the view's file"),
	CLAIM(one_walk_of_caches_a_hole,
	      "a hole over two bindings of a VM walks its gfn_to_pfn caches once"),
};

CLAIMS_MAIN(claims);
