// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages of shared memory, and moves: which of a slot's ranges may have
 * them is decided by the attributes, which move, and by the slot's own
 * alignment, which does not.
 */
#include <sys/mman.h>

#include "claims.h"
#include "huge.h"
#include "moving.h"

#define RANGES		4
#define PAGES		(RANGES * HUGE_PAGES)
#define PRIVATE_PAGE	(HUGE_PAGES + 5)	/* alone in the second range */

/* Host memory that begins @offset pages into a huge page. */
static void *huge_memory(uint64_t offset)
{
	size_t size = (RANGES + 2) * HUGE_PAGES * PAGE_SIZE;
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(map != MAP_FAILED, "mmap");
	TEST_ASSERT(!madvise(map, size, MADV_HUGEPAGE), "madvise");
	memset(map, 0, size);
	return align_ptr_up(map, HUGE_PAGES * PAGE_SIZE) + offset * PAGE_SIZE;
}

/* The slot of @m, whose shared memory begins @offset pages into a huge page. */
static struct machine *with_slot(struct machine *m, uint64_t offset)
{
	vm_set_user_memory_region2(m->vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
				   PAGES * PAGE_SIZE, huge_memory(offset), m->view, 0);
	vm_mem_set_shared(m->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	return m;
}

static struct machine *source(uint64_t offset)
{
	struct machine *m = machine_bare(PAGES);

	m->view = vm_create_guest_memfd(m->vm, PAGES * PAGE_SIZE, 0);
	return with_slot(m, offset);
}

static struct machine *next(struct machine *m, uint64_t offset)
{
	struct machine *b = machine_bare(PAGES);

	b->view = link_view(b->vm, m->view);
	return with_slot(b, offset);
}

static void make_private(struct machine *m)
{
	vm_mem_set_private(m->vm, MACHINE_GPA + PRIVATE_PAGE * PAGE_SIZE, PAGE_SIZE);
}

/* A huge page over the mixed range would hide its private page. */
static void mixed_ranges(void)
{
	struct machine *a, *b;

	require_move();
	a = source(0);
	make_private(a);
	guest_write(a, PRIVATE_PAGE, 1, 1);
	TEST_ASSERT_EQ(huge_by_touch(a, 0), 1);
	b = next(a, 0);
	move(b, a);
	TEST_ASSERT_EQ(huge_by_touch(b, HUGE_PAGES), 0);
	guest_expect(b, PRIVATE_PAGE, 1, 1);
	guest_expect(b, PRIVATE_PAGE + 1, 1, 0);
	TEST_ASSERT_EQ(huge_by_touch(b, 0), 1);
	TEST_ASSERT_EQ(huge_by_touch(b, 2 * HUGE_PAGES), 1);

	/* No longer mixed: the destination may have a huge page there. */
	vm_mem_set_shared(b->vm, MACHINE_GPA + PRIVATE_PAGE * PAGE_SIZE, PAGE_SIZE);
	TEST_ASSERT_EQ(huge_by_touch(b, PRIVATE_PAGE), 1);
}

/* Where no huge page fits, none is mapped; and the next slot may have them again. */
static void alignment(void)
{
	static const uint64_t offsets[] = { 1, 0, HUGE_PAGES / 2, 0 };
	struct machine *a, *b;

	require_move();
	a = source(0);
	make_private(a);
	guest_write(a, PRIVATE_PAGE, 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		b = next(a, offsets[i]);
		move(b, a);
		for (uint64_t range = 0; range < RANGES; range++)
			TEST_ASSERT_EQ(huge_by_touch(b, range * HUGE_PAGES),
				       !offsets[i] && range != 1);
		guest_expect(b, PRIVATE_PAGE, 1, 1);
		guest_expect(b, PRIVATE_PAGE + 1, 1, 0);
		a = b;
	}
}

/* What KVM had put into the destination by its own attributes is gone. */
static void destination_had_huge_pages(void)
{
	struct kvm_pre_fault_memory range = { .gpa = MACHINE_GPA + HUGE_PAGES * PAGE_SIZE,
					      .size = PAGE_SIZE };
	struct machine *a, *b;

	require_move();
	a = source(0);
	make_private(a);
	guest_write(a, PRIVATE_PAGE, 1, 1);
	b = next(a, 0);
	TEST_ASSERT_EQ(__vcpu_ioctl(b->vcpu, KVM_PRE_FAULT_MEMORY, &range), 0);
	TEST_ASSERT_EQ(vm_get_stat(b->vm, "pages_2m"), 1UL);
	move(b, a);
	guest_expect(b, PRIVATE_PAGE, 1, 1);
}

static const struct claim claims[] = {
	CLAIM(mixed_ranges, "a mixed range has no huge page in the destination, others have"),
	CLAIM(alignment, "huge pages go by the slot's own alignment, whatever the source had"),
	CLAIM(destination_had_huge_pages, "a huge page mapped ahead does not hide a private page"),
};

CLAIMS_MAIN(claims);
