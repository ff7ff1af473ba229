// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves that can't be: each error, after which both VMs are as they were.
 */
#include <fcntl.h>

#include "claims.h"
#include "moving.h"

#define PAGES	64

/* The move fails with @err; then A's guest goes on, and B's by what it has. */
static void expect_refused(struct machine *a, struct machine *b, int err)
{
	guest_write(a, 0, PAGES, 1);
	TEST_ERRNO(__move(b->vm, a->vm->fd), err);
	guest_expect(a, 0, PAGES, 1);
	guest_write(a, 0, PAGES, 2);
}

/* A destination whose slot is made by the caller. */
static struct machine *without_slot(struct machine *a)
{
	struct machine *b = machine_bare(a->npages);

	b->view = link_view(b->vm, a->view);
	vm_mem_set_shared(b->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	return b;
}

static int enable(struct kvm_vm *vm, uint64_t arg0, uint64_t arg1, uint64_t arg2, uint64_t arg3)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		.args = { arg0, arg1, arg2, arg3 },
	};

	return __vm_ioctl(vm, KVM_ENABLE_CAP, &cap);
}

static void not_a_vm(void)
{
	struct machine *b;
	int closed = dup(0);

	require_move();
	b = machine_create(PAGES);
	close(closed);
	TEST_ERRNO(__move(b->vm, -1), EBADF);
	TEST_ERRNO(__move(b->vm, closed), EBADF);
	TEST_ERRNO(__move(b->vm, open("/dev/kvm", O_RDWR)), EBADF);
	TEST_ERRNO(__move(b->vm, b->view), EBADF);
	TEST_ERRNO(__move(b->vm, b->vcpu->fd), EBADF);
	TEST_ERRNO(enable(b->vm, (1ULL << 32) | b->vm->fd, 0, 0, 0), EBADF);
	guest_touch(b, 0, PAGES);
}

static void unknown_args(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = destination(a);
	TEST_ERRNO(enable(b->vm, a->vm->fd, 1, 0, 0), EINVAL);
	TEST_ERRNO(enable(b->vm, a->vm->fd, 1ULL << 63, 0, 0), EINVAL);
	TEST_ERRNO(enable(b->vm, a->vm->fd, 0, 1, 0), EINVAL);
	TEST_ERRNO(enable(b->vm, a->vm->fd, 0, 0, 1), EINVAL);
	guest_touch(a, 0, PAGES);
	move(b, a);
}

static void same_vm(void)
{
	struct machine *a;

	require_move();
	a = machine_create(PAGES);
	TEST_ERRNO(__move(a->vm, a->vm->fd), EINVAL);
	guest_touch(a, 0, PAGES);
}

static void another_type(void)
{
	require_move();
	TEST_ERRNO(__move(idle_vm(), vm_create_barebones()->fd), EINVAL);
	TEST_ERRNO(__move(vm_create_barebones(), idle_vm()->fd), EINVAL);
}

static void dead_source(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = destination(a);
	move(b, a);
	TEST_ERRNO(__move(destination(b)->vm, a->vm->fd), EIO);
	TEST_ERRNO(__move(a->vm, b->vm->fd), EIO);
	guest_touch(b, 0, PAGES);
}

static void destination_has_attributes(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = machine_link(a->view, PAGES);
	expect_refused(a, b, EINVAL);
	guest_expect(b, 0, PAGES, 2);
}

static void destination_has_run(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = machine_link(a->view, PAGES);
	guest_touch(b, 0, 1);
	vm_mem_set_shared(b->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	expect_refused(a, b, EINVAL);
}

static void slot_missing(void)
{
	struct machine *a;

	require_move();
	a = machine_create(PAGES);
	expect_refused(a, without_slot(a), EINVAL);
}

static void slot_too_many(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = destination(a);
	vm_userspace_mem_region_add(b->vm, VM_MEM_SRC_ANONYMOUS, 1ULL << 34, 20, 1, 0);
	expect_refused(a, b, EINVAL);
}

static void slot_elsewhere(void)
{
	static const struct { uint64_t gpa, npages, pgoff; } cases[] = {
		{ MACHINE_GPA + PAGE_SIZE, PAGES, 0 },
		{ MACHINE_GPA, PAGES - 1, 0 },
		{ MACHINE_GPA, PAGES - 1, 1 },
	};

	require_move();
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine *a = machine_create(PAGES), *b = without_slot(a);
		int ret = __vm_set_user_memory_region2(b->vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD,
						       cases[i].gpa, cases[i].npages * PAGE_SIZE,
						       NULL, b->view, cases[i].pgoff * PAGE_SIZE);

		TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_SET_USER_MEMORY_REGION2, ret));
		expect_refused(a, b, EINVAL);
	}
}

static void same_range_at_another_offset(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_bare(PAGES);
	a->view = vm_create_guest_memfd(a->vm, 2 * PAGES * PAGE_SIZE, 0);
	machine_bind(a, 0);
	b = without_slot(a);
	machine_bind(b, PAGES);
	expect_refused(a, b, EINVAL);
}

static void another_inode(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = machine_create(PAGES);
	vm_mem_set_shared(b->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	expect_refused(a, b, EINVAL);
}

static void without_gmem(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = machine_bare(PAGES);
	vm_userspace_mem_region_add(b->vm, VM_MEM_SRC_ANONYMOUS, MACHINE_GPA, MACHINE_SLOT,
				    PAGES, 0);
	vm_mem_set_shared(b->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	expect_refused(a, b, EINVAL);
}

static void closed_view(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = destination(a);
	machine_close_view(b);
	expect_refused(a, b, EINVAL);
}

static const struct claim claims[] = {
	CLAIM(not_a_vm, "what is not a VM's fd is EBADF"),
	CLAIM(unknown_args, "args that are not defined are EINVAL"),
	CLAIM(same_vm, "the same VM is EINVAL"),
	CLAIM(another_type, "a VM of another type is EINVAL"),
	CLAIM(dead_source, "a VM that was moved before is EIO"),
	CLAIM(destination_has_attributes, "a destination with attributes is EINVAL"),
	CLAIM(destination_has_run, "a destination that has run is EINVAL"),
	CLAIM(slot_missing, "a memslot too few is EINVAL"),
	CLAIM(slot_too_many, "a memslot too many is EINVAL"),
	CLAIM(slot_elsewhere, "a memslot of another place, size or offset is EINVAL"),
	CLAIM(same_range_at_another_offset, "another page offset alone is EINVAL"),
	CLAIM(another_inode, "a memslot on another inode is EINVAL"),
	CLAIM(without_gmem, "a memslot without guest memory is EINVAL"),
	CLAIM(closed_view, "a memslot whose view is closed is EINVAL"),
};

CLAIMS_MAIN(claims);
