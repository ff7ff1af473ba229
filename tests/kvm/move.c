// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving a software-protected VM's context: what arrives, and what is left.
 */
#include "claims.h"
#include "mapped.h"
#include "moving.h"

#define PAGES	1024		/* 4 MiB: huge page ranges, whole and in part */

static void capability(void)
{
	struct kvm_vm *protected = idle_vm();

	require_move();
	TEST_ASSERT_EQ(kvm_check_cap(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM), 1);
	TEST_ASSERT_EQ(vm_check_cap(protected, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM), 1);
	TEST_ASSERT(vm_check_cap(protected, KVM_CAP_GMEM) & KVM_GMEM_CAP_MOVE, "protected VM");
	TEST_ASSERT(!(vm_check_cap(vm_create_barebones(), KVM_CAP_GMEM) & KVM_GMEM_CAP_MOVE),
		    "a default VM has no memory context");
}

static void memory_goes_on(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	b = destination(a);
	move(b, a);
	guest_expect(b, 0, PAGES, 1);
	guest_write(b, 0, PAGES, 2);
	machine_release(a);
	guest_expect(b, 0, PAGES, 2);
}

/* Shared pages have nothing behind them here, so the guest's touch tells them. */
static bool is_private(struct machine *m, uint64_t page)
{
	int err = guest_try_touch(m, page);

	TEST_ASSERT(!err || err == EFAULT, "KVM_RUN: errno %d", err);
	return !err;
}

static void share(struct machine *m, uint64_t first, uint64_t n)
{
	vm_mem_set_shared(m->vm, MACHINE_GPA + first * PAGE_SIZE, n * PAGE_SIZE);
}

static void attributes_go_along(void)
{
	static const struct { uint64_t first, n; } shared[] = {
		{ 0, 1 }, { 100, 50 }, { 511, 2 }, { 700, 1 }, { 1023, 1 },
	};
	struct machine *a, *b;
	bool expected[PAGES];

	require_move();
	a = machine_create(PAGES);
	memset(expected, true, sizeof(expected));
	for (unsigned int i = 0; i < ARRAY_SIZE(shared); i++) {
		share(a, shared[i].first, shared[i].n);
		memset(expected + shared[i].first, false, shared[i].n);
	}
	b = destination(a);
	move(b, a);
	for (uint64_t page = 0; page < PAGES; page++)
		TEST_ASSERT(is_private(b, page) == expected[page], "page %lu is %s", page,
			    expected[page] ? "shared" : "private");

	/* They are the destination's now, to be changed by it. */
	share(b, 200, 1);
	TEST_ASSERT(!is_private(b, 200) && is_private(b, 201), "conversion after the move");
}

static void source_is_dead(void)
{
	struct kvm_regs regs;
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	guest_touch(a, 0, 2);
	b = destination(a);
	move(b, a);
	TEST_ERRNO(ioctl(a->vcpu->fd, KVM_RUN, NULL), EIO);
	TEST_ERRNO(ioctl(a->vcpu->fd, KVM_GET_REGS, &regs), EIO);
	TEST_ERRNO(__vm_ioctl(a->vm, KVM_CREATE_VCPU, (void *)5UL), EIO);
	TEST_ERRNO(__vm_ioctl(a->vm, KVM_SET_MEMORY_ATTRIBUTES,
			      (&(struct kvm_memory_attributes){ .address = MACHINE_GPA,
								.size = PAGE_SIZE })), EIO);
	TEST_ERRNO(__machine_bind(a, 0), EIO);
	TEST_ERRNO(__link_view(a->vm, b->view), EIO);
	guest_expect(b, 0, 2, 0);
}

static void alignment_is_each_slots_own(void)
{
	static const size_t offsets[] = { 0, PAGE_SIZE, 2 * PAGE_SIZE };
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(offsets); i++) {
		b = machine_bare(PAGES);
		b->view = link_view(b->vm, a->view);
		vm_set_user_memory_region2(b->vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
					   PAGES * PAGE_SIZE, (void *)((1UL << 40) + offsets[i]),
					   b->view, 0);
		share(b, 0, PAGES);
		move(b, a);
		guest_expect(b, 0, PAGES, 1);
		share(b, 3, 1);
		vm_mem_set_private(b->vm, MACHINE_GPA + 3 * PAGE_SIZE, PAGE_SIZE);
		guest_expect(b, 0, PAGES, 1);
		a = b;
	}
}

static void vcpus_stay_the_destinations_own(void)
{
	struct kvm_regs before, after;
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	b = destination(a);
	vcpu_regs_get(b->vcpu, &before);
	before.rbx = 4711;
	vcpu_regs_set(b->vcpu, &before);
	move(b, a);
	vcpu_regs_get(b->vcpu, &after);
	TEST_ASSERT(!memcmp(&before, &after, sizeof(before)), "the move changed registers");
	guest_expect(b, 0, PAGES, 1);
}

static void source_maps_nothing(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	TEST_ASSERT(vm_get_stat(a->vm, "pages_4k") >= PAGES, "the guest has its pages mapped");
	b = destination(a);
	move(b, a);
	TEST_ASSERT_EQ(vm_get_stat(a->vm, "pages_4k"), 0UL);
	TEST_ASSERT_EQ(vm_get_stat(a->vm, "pages_2m"), 0UL);
	guest_expect(b, 0, PAGES, 1);
	TEST_ASSERT_EQ(vm_get_stat(a->vm, "pages_4k"), 0UL);
}

/* Where the host may map the inode, the inode knows what is private. */
static void inodes_keep_their_own(void)
{
	static const uint64_t flags[] = { MMAP_PRIVATE, MMAP_SHARED };

	require_move();
	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		struct machine *a = mapped_create(KVM_X86_SW_PROTECTED_VM, 16, flags[i]), *b;

		guest_write(a, 0, 16, 1);
		b = mapped_link(KVM_X86_SW_PROTECTED_VM, a->view, 16);
		move(b, a);
		machine_release(a);
		guest_expect(b, 0, 16, 1);
		if (flags[i] == MMAP_SHARED)
			host_expect(b, 0, 16, 1);
		else
			host_expect_sigbus(b, 0, 16);
	}
}

/* As mainline has it for SEV: what nothing refers to need not match. */
static void without_context_slots_need_not_match(void)
{
	struct kvm_vm *a, *b;

	require_move();
	a = idle_vm();
	b = idle_vm();
	vm_userspace_mem_region_add(a, VM_MEM_SRC_ANONYMOUS, MACHINE_GPA, 5, 2, 0);
	vm_userspace_mem_region_add(b, VM_MEM_SRC_ANONYMOUS, 2 * MACHINE_GPA, 6, 1,
				    KVM_MEM_LOG_DIRTY_PAGES);
	TEST_ASSERT_EQ(__move(b, a->fd), 0);
}

static void slot_ids_need_not_match(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	b = machine_bare(PAGES);
	b->view = link_view(b->vm, a->view);
	vm_set_user_memory_region2(b->vm, MACHINE_SLOT + 7, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
				   PAGES * PAGE_SIZE, NULL, b->view, 0);
	share(b, 0, PAGES);
	move(b, a);
	guest_expect(b, 0, PAGES, 1);
}

static void chain(void)
{
	struct machine *a, *b;

	require_move();
	a = machine_create(64);
	guest_write(a, 0, 64, 1);
	for (int i = 1; i <= 200; i++) {
		b = destination(a);
		move(b, a);
		machine_release(a);
		guest_expect(b, 0, 64, i);
		guest_write(b, 0, 64, i + 1);
		a = b;
	}
}

static const struct claim claims[] = {
	CLAIM(capability, "the capability is told for the VM types that can be moved"),
	CLAIM(memory_goes_on, "the destination's guest goes on with the source's private memory"),
	CLAIM(attributes_go_along, "each page is private or shared as it was"),
	CLAIM(inodes_keep_their_own, "what a mappable inode keeps private stays so"),
	CLAIM(source_is_dead, "whatever is asked of the source afterwards is EIO"),
	CLAIM(alignment_is_each_slots_own,
	      "userspace_addr may be aligned differently"),
	CLAIM(vcpus_stay_the_destinations_own, "the destination's registers are as they were set"),
	CLAIM(source_maps_nothing, "the source's stage-2 tables are empty, and stay so"),
	CLAIM(slot_ids_need_not_match, "slots match by what they map, not by their ids"),
	CLAIM(without_context_slots_need_not_match,
	      "without attributes and guest memory slots need not match"),
	SLOW_CLAIM(chain, 120, "a guest goes through 200 moves with its memory whole"),
};

CLAIMS_MAIN(claims);
