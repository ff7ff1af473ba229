// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binding memslots to a view by KVM_SET_USER_MEMORY_REGION2: Linux 6.12's ABI.
 */
#include <sys/mman.h>

#include "claims.h"
#include "machine.h"

#define PAGES	8
#define SIZE	(PAGES * PAGE_SIZE)
#define GMEM	KVM_MEM_GUEST_MEMFD

static int set_slot(struct kvm_vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa,
		    uint64_t size, int fd, uint64_t offset)
{
	return __vm_set_user_memory_region2(vm, slot, flags, gpa, size, NULL, fd, offset);
}

static void slot_ok(struct kvm_vm *vm, uint32_t slot, uint64_t gpa, uint64_t size, int fd,
		    uint64_t offset)
{
	int ret = set_slot(vm, slot, GMEM, gpa, size, fd, offset);

	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_SET_USER_MEMORY_REGION2, ret));
}

static void refuses_offsets(void)
{
	struct kvm_vm *vm = idle_vm();
	int fd = vm_create_guest_memfd(vm, SIZE, 0);

	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, PAGE_SIZE, fd, 1), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, PAGE_SIZE, fd, 512), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, PAGE_SIZE, fd, SIZE), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, SIZE, fd, PAGE_SIZE), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, SIZE + PAGE_SIZE, fd, 0), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, PAGE_SIZE, fd, -(uint64_t)PAGE_SIZE), EINVAL);
	/* The sum of offset and size must not pass for a small one. */
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, 2 * PAGE_SIZE, fd, -(uint64_t)PAGE_SIZE), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, PAGE_SIZE, fd, 1ULL << 63), EINVAL);
	slot_ok(vm, 1, 0, SIZE, fd, 0);
}

static void refuses_bound_ranges(void)
{
	static const uint64_t overlaps[][2] = {	/* page, pages; 2..3 are bound */
		{ 2, 2 }, { 2, 1 }, { 3, 1 }, { 1, 2 }, { 3, 2 }, { 0, 8 }, { 1, 4 },
	};
	struct kvm_vm *vm = idle_vm();
	int fd = vm_create_guest_memfd(vm, SIZE, 0);

	slot_ok(vm, 1, 0, 2 * PAGE_SIZE, fd, 2 * PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(overlaps); i++)
		TEST_ERRNO(set_slot(vm, 2, GMEM, 1ULL << 30, overlaps[i][1] * PAGE_SIZE, fd,
				    overlaps[i][0] * PAGE_SIZE), EINVAL);

	/* What lies beside it is free, and so is the range when the slot is gone. */
	slot_ok(vm, 2, 1ULL << 30, 2 * PAGE_SIZE, fd, 0);
	slot_ok(vm, 3, 1ULL << 31, 4 * PAGE_SIZE, fd, 4 * PAGE_SIZE);
	TEST_ASSERT(!set_slot(vm, 1, GMEM, 0, 0, -1, 0), "delete");
	slot_ok(vm, 4, 1ULL << 32, 2 * PAGE_SIZE, fd, 2 * PAGE_SIZE);
}

static void refuses_fds(void)
{
	struct kvm_vm *vm = idle_vm();
	int others = vm_create_guest_memfd(idle_vm(), SIZE, 0);
	int memfd = memfd_create("not guest memory", 0);
	int closed = dup(memfd);

	TEST_ASSERT(!ftruncate(memfd, SIZE) && !close(closed), "set up a memfd");
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, SIZE, -1, 0), EBADF);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, SIZE, closed, 0), EBADF);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, SIZE, memfd, 0), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, SIZE, vm->fd, 0), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, SIZE, vm->kvm_fd, 0), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, SIZE, others, 0), EINVAL);
}

static void refuses_flags(void)
{
	struct kvm_vm *vm = idle_vm();
	int fd = vm_create_guest_memfd(vm, SIZE, 0);

	TEST_ERRNO(set_slot(vm, 1, GMEM | KVM_MEM_LOG_DIRTY_PAGES, 0, SIZE, fd, 0), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM | KVM_MEM_READONLY, 0, SIZE, fd, 0), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM | 1U << 3, 0, SIZE, fd, 0), EINVAL);
}

static void refuses_change(void)
{
	struct kvm_vm *vm = idle_vm();
	int fd = vm_create_guest_memfd(vm, SIZE, 0);

	slot_ok(vm, 1, 0, SIZE, fd, 0);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 0, SIZE, fd, 0), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, GMEM, 1ULL << 30, SIZE, fd, 0), EINVAL);
	TEST_ERRNO(set_slot(vm, 1, 0, 0, SIZE, -1, 0), EINVAL);
	TEST_ERRNO(set_slot(vm, 2, GMEM, PAGE_SIZE, PAGE_SIZE,
			    vm_create_guest_memfd(vm, SIZE, 0), 0), EEXIST);
}

static void default_vm_binds(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, SIZE, 0);

	__TEST_REQUIRE(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD),
		       "these modules have guest_memfd slots for private memory only");
	slot_ok(vm, 1, 0, SIZE, fd, 0);
	TEST_ERRNO(set_slot(vm, 2, GMEM, SIZE, SIZE, fd, 0), EINVAL);
}

static void failed_bind_leaves_nothing(void)
{
	struct kvm_vm *vm = idle_vm();
	int fd = vm_create_guest_memfd(vm, SIZE, 0);

	slot_ok(vm, 1, 0, PAGE_SIZE, vm_create_guest_memfd(vm, SIZE, 0), 0);
	TEST_ERRNO(set_slot(vm, 2, GMEM, 0, SIZE, fd, 0), EEXIST);
	slot_ok(vm, 2, 1ULL << 30, SIZE, fd, 0);
}

static void rebind_keeps_content(void)
{
	struct machine *m = machine_create(PAGES);

	guest_write(m, 0, PAGES, 1);
	for (int i = 0; i < 3; i++) {
		machine_unbind(m);
		machine_bind(m, 0);
		guest_expect(m, 0, PAGES, 1);
	}
	machine_free(m);
}

static void offset_selects_pages(void)
{
	struct machine *m = machine_bare(2);

	/* Two pages of four at a time: what is written below offset 2 is not seen above it. */
	m->view = vm_create_guest_memfd(m->vm, 4 * PAGE_SIZE, 0);
	machine_bind(m, 0);
	guest_write(m, 0, 2, 1);
	machine_unbind(m);
	machine_bind(m, 2);
	guest_expect(m, 0, 2, 0);
	guest_write(m, 0, 2, 2);
	machine_unbind(m);
	machine_bind(m, 0);
	guest_expect(m, 0, 2, 1);
	machine_free(m);
}

static void deleted_slot_faults(void)
{
	struct machine *m = machine_create(PAGES);

	guest_touch(m, 0, PAGES);
	machine_unbind(m);
	expect_memory_fault(m, 0, EFAULT);
	expect_memory_fault(m, PAGES - 1, EFAULT);
	machine_bind(m, 0);
	guest_touch(m, 0, PAGES);
	machine_free(m);
}

static void closed_view_faults(void)
{
	struct machine *m = machine_create(PAGES);

	/* One page that the guest has mapped, one that it has not. */
	guest_touch(m, 0, 1);
	machine_close_view(m);
	expect_memory_fault(m, 0, EFAULT);
	expect_memory_fault(m, 1, EFAULT);
	/* The slot is still there: it can be deleted, and its place be bound again. */
	machine_unbind(m);
	m->view = vm_create_guest_memfd(m->vm, PAGES * PAGE_SIZE, 0);
	machine_bind(m, 0);
	guest_expect(m, 0, PAGES, 0);
	machine_free(m);
}

static void dup_keeps_view(void)
{
	struct machine *m = machine_create(PAGES);
	int copy = dup(m->view);

	guest_write(m, 0, PAGES, 3);
	machine_close_view(m);
	guest_expect(m, 0, PAGES, 3);
	close(copy);
	expect_memory_fault(m, 0, EFAULT);
	machine_free(m);
}

static const struct claim claims[] = {
	CLAIM(refuses_offsets, "an offset unaligned, past the end or overflowing is EINVAL"),
	CLAIM(refuses_bound_ranges,
	      "a range that overlaps a bound one is EINVAL, beside it is fine"),
	CLAIM(refuses_fds, "no open fd is EBADF; no view, or another VM's, is EINVAL"),
	CLAIM(refuses_flags, "dirty logging, read-only and unknown flags are EINVAL"),
	CLAIM(refuses_change, "a bound slot can't be changed or moved, nor its gfns be taken"),
	CLAIM(default_vm_binds, "a VM without private memory binds a view as any does"),
	CLAIM(failed_bind_leaves_nothing, "a slot that fails after binding leaves the range free"),
	CLAIM(rebind_keeps_content,
	      "deleting a slot and binding the range again keeps the content"),
	CLAIM(offset_selects_pages, "the offset says which pages the slot shows"),
	CLAIM(deleted_slot_faults,
	      "without its slot the guest leaves with a memory fault, with it again it goes on"),
	CLAIM(closed_view_faults, "with its view closed the guest leaves with a memory fault"),
	CLAIM(dup_keeps_view, "a view lives until its last fd is closed"),
};

CLAIMS_MAIN(claims);
