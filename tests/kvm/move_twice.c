// SPDX-License-Identifier: GPL-2.0-only
/*
 * A destination that has not run yet has a guest all the same: it is no
 * destination for another one, but it can be moved from.
 */
#include "claims.h"
#include "moving.h"
#include "runner.h"
#include "successor.h"

#define PAGES	16

static void counts(void)
{
	for (uint64_t i = 1; ; i++)
		GUEST_SYNC(i);
}

static struct kvm_vcpu *counting(unsigned long type)
{
	struct kvm_vcpu *vcpu = ancestor(type, counts);

	run_to_sync(vcpu, 1);
	return vcpu;
}

static void second_guest(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct kvm_vcpu *first = counting(type), *second = counting(type);
		struct kvm_vcpu *dst = successor(first);

		run_to_sync(second, 2);
		move_vcpus(dst->vm, first->vm);
		TEST_ERRNO(__move_vcpus(dst->vm, second->vm), EINVAL);
		run_to_sync(dst, 2);
		run_to_sync(second, 3);
		TEST_ERRNO(__move_vcpus(dst->vm, second->vm), EINVAL);
		move_vcpus(successor(second)->vm, second->vm);
	}
}

/* Also where nothing else shows it: the attributes that it got are gone again. */
static void second_memory(void)
{
	struct machine *first, *second, *dst;

	require_move();
	first = machine_create(PAGES);
	guest_write(first, 0, PAGES, 1);
	second = machine_link(first->view, PAGES);
	dst = destination(first);
	move(dst, first);
	vm_mem_set_shared(dst->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	TEST_ERRNO(__move(dst->vm, second->vm->fd), EINVAL);
	vm_mem_set_private(dst->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	guest_expect(dst, 0, PAGES, 1);
	guest_expect(second, 0, PAGES, 1);
}

/* A move without vCPUs, then one with them, and the other way round. */
static void second_of_another_kind(void)
{
	for (int i = 0; i < 2; i++) {
		struct kvm_vcpu *first, *second, *dst;

		require_move_vcpus();
		first = counting(KVM_X86_SW_PROTECTED_VM);
		second = counting(KVM_X86_SW_PROTECTED_VM);
		dst = successor(first);
		if (i) {
			move_vcpus(dst->vm, first->vm);
			TEST_ERRNO(__move(dst->vm, second->vm->fd), EINVAL);
		} else {
			TEST_ASSERT_EQ(__move(dst->vm, first->vm->fd), 0);
			TEST_ERRNO(__move_vcpus(dst->vm, second->vm), EINVAL);
		}
		run_to_sync(second, 2);
	}
}

/* A keeper's destination may be killed before its first KVM_RUN, again and again. */
static void chain(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct kvm_vcpu *vcpu = counting(type);

		for (uint64_t i = 2; i < 6; i++) {
			for (int never_run = 0; never_run < 3; never_run++)
				vcpu = succeed(vcpu);
			run_to_sync(vcpu, i);
		}
	}
}

static void chain_of_memory(void)
{
	struct machine *a, *b, *c;

	require_move();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	b = destination(a);
	c = destination(a);
	move(b, a);
	move(c, b);
	TEST_ERRNO(__move(a->vm, c->vm->fd), EIO);
	guest_expect(c, 0, PAGES, 1);
}

static const struct claim claims[] = {
	CLAIM(second_guest, "a second guest is EINVAL, before and after the first has run"),
	CLAIM(second_memory, "so is a second memory context"),
	CLAIM(second_of_another_kind, "with vCPUs after without, and the other way round"),
	CLAIM(chain, "a guest goes on after three VMs of which none ran it"),
	CLAIM(chain_of_memory, "a memory context moves on from a VM that never ran"),
};

CLAIMS_MAIN(claims);
