// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves that can't be: each error, after which both VMs are as they were.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "claims.h"
#include "moving.h"

#define PAGES	64
#define SLOT	20		/* of ordinary memory, somewhere else */
#define GPA	(1ULL << 34)

/* The move fails with @err; then A's guest goes on. */
static void expect_refused(struct machine *a, struct machine *b, int err)
{
	guest_write(a, 0, PAGES, 1);
	TEST_ERRNO(__move(b->vm, a->vm->fd), err);
	guest_expect(a, 0, PAGES, 1);
	guest_write(a, 0, PAGES, 2);
}

/* What was wrong with B has been put right: A is moved, and B's guest goes on. */
static void expect_mended(struct machine *a, struct machine *b)
{
	move(b, a);
	guest_expect(b, 0, PAGES, 2);
}

/* B's only slot of private memory becomes what A's is. */
static void mend_slot(struct machine *a, struct machine *b)
{
	machine_close_view(b);
	b->view = link_view(b->vm, a->view);
	machine_bind(b, 0);
}

static void delete_slot(struct machine *m, uint32_t slot)
{
	vm_set_user_memory_region(m->vm, slot, 0, 0, 0, NULL);
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
	TEST_ERRNO(__vm_ioctl(b->vm, KVM_ENABLE_CAP, (&(struct kvm_enable_cap){
				.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
				.flags = 1,
				.args = { a->vm->fd },
			      })), EINVAL);
	guest_touch(a, 0, PAGES);
	move(b, a);
	guest_touch(b, 0, PAGES);
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
	vm_mem_set_shared(b->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	expect_mended(a, b);
}

/* One page is enough, also where there is no memslot. */
static void destination_has_an_attribute(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = destination(a);
	vm_mem_set_private(b->vm, GPA, PAGE_SIZE);
	expect_refused(a, b, EINVAL);
	vm_mem_set_shared(b->vm, GPA, PAGE_SIZE);
	expect_mended(a, b);
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
	vm_mem_set_private(b->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	guest_expect(b, 0, PAGES, 2);
}

static void slot_missing(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = without_slot(a);
	expect_refused(a, b, EINVAL);
	machine_bind(b, 0);
	expect_mended(a, b);
}

static void slot_too_many(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = destination(a);
	vm_userspace_mem_region_add(b->vm, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, 1, 0);
	expect_refused(a, b, EINVAL);
	delete_slot(b, SLOT);
	expect_mended(a, b);
}

static void slot_flags(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = destination(a);
	vm_userspace_mem_region_add(a->vm, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, 1, 0);
	vm_userspace_mem_region_add(b->vm, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, 1,
				    KVM_MEM_LOG_DIRTY_PAGES);
	expect_refused(a, b, EINVAL);
	vm_mem_region_set_flags(b->vm, SLOT, 0);
	expect_mended(a, b);
}

/* Attributes refer to memslots, also to those without private memory. */
static void slots_under_attributes(void)
{
	struct kvm_vm *a, *b;

	require_move();
	a = idle_vm();
	b = idle_vm();
	vm_userspace_mem_region_add(a, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, 1, 0);
	vm_mem_set_private(a, 2 * GPA, PAGE_SIZE);
	TEST_ERRNO(__move(b, a->fd), EINVAL);
	vm_userspace_mem_region_add(b, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, 1, 0);
	TEST_ASSERT_EQ(__move(b, a->fd), 0);
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
		machine_unbind(b);
		mend_slot(a, b);
		expect_mended(a, b);
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
	machine_unbind(b);
	machine_bind(b, 0);
	expect_mended(a, b);
}

static void another_inode(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = machine_create(PAGES);
	vm_mem_set_shared(b->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	expect_refused(a, b, EINVAL);
	machine_unbind(b);
	mend_slot(a, b);
	expect_mended(a, b);
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
	delete_slot(b, MACHINE_SLOT);
	mend_slot(a, b);
	expect_mended(a, b);
}

static void closed_view(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = destination(a);
	machine_close_view(b);
	expect_refused(a, b, EINVAL);
	machine_unbind(b);
	mend_slot(a, b);
	expect_mended(a, b);
}

static atomic_bool creating;

static void *create_vcpus(void *arg)
{
	struct kvm_vm *vm = arg;
	int n = vm_check_cap(vm, KVM_CAP_MAX_VCPUS);

	for (int id = 1; id < n && atomic_load(&creating); id++)
		close(__vm_ioctl(vm, KVM_CREATE_VCPU, (void *)(long)id));
	atomic_store(&creating, false);
	return NULL;
}

/*
 * There is a moment in each creation in which its vCPU is counted, and not yet
 * there. The memslots of the two do not match: between creations it is EINVAL.
 */
static void expect_busy_while(struct kvm_vm *creator, struct machine *a, struct machine *b)
{
	pthread_t thread;
	int seen[2] = { 0 };

	atomic_store(&creating, true);
	pthread_create(&thread, NULL, create_vcpus, creator);
	while (atomic_load(&creating) && !seen[1]) {
		TEST_ASSERT(__move(b->vm, a->vm->fd) == -1 && (errno == EINVAL || errno == EBUSY),
			    "move: errno %d (%s)", errno, strerror(errno));
		seen[errno == EBUSY]++;
	}
	atomic_store(&creating, false);
	pthread_join(thread, NULL);
	TEST_ASSERT(seen[1], "%d times EINVAL, never EBUSY", seen[0]);
}

static void vcpu_creation(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	b = without_slot(a);
	expect_busy_while(a->vm, a, b);
	expect_busy_while(b->vm, a, b);
	expect_refused(a, b, EINVAL);
	machine_bind(b, 0);
	expect_mended(a, b);
}

static const struct claim claims[] = {
	CLAIM(not_a_vm, "what is not a VM's fd is EBADF"),
	CLAIM(unknown_args, "args that are not defined are EINVAL"),
	CLAIM(same_vm, "the same VM is EINVAL"),
	CLAIM(another_type, "a VM of another type is EINVAL"),
	CLAIM(dead_source, "a VM that was moved before is EIO"),
	CLAIM(destination_has_attributes, "a destination with attributes is EINVAL"),
	CLAIM(destination_has_an_attribute, "a destination with an attribute anywhere is EINVAL"),
	CLAIM(destination_has_run, "a destination that has run is EINVAL"),
	CLAIM(slot_missing, "a memslot too few is EINVAL"),
	CLAIM(slot_too_many, "a memslot too many is EINVAL"),
	CLAIM(slot_flags, "a memslot with other flags is EINVAL"),
	CLAIM(slots_under_attributes, "where there are attributes, so are ordinary memslots"),
	CLAIM(slot_elsewhere, "a memslot of another place, size or offset is EINVAL"),
	CLAIM(same_range_at_another_offset, "another page offset alone is EINVAL"),
	CLAIM(another_inode, "a memslot on another inode is EINVAL"),
	CLAIM(without_gmem, "a memslot without guest memory is EINVAL"),
	CLAIM(closed_view, "a memslot whose view is closed is EINVAL"),
	CLAIM(vcpu_creation, "while a vCPU of either is being created it is EBUSY"),
};

CLAIMS_MAIN(claims);
