// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS: what goes along with the vCPUs, and when they can't be moved.
 * Exits in flight, time, interrupts and nested guests have programs of their own.
 */
#include "claims.h"
#include "machine.h"
#include "successor.h"

static void capability(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = type };
		struct kvm_vm *vm = ____vm_create(shape);

		TEST_ASSERT(vm_check_cap(vm, KVM_CAP_GMEM) & KVM_GMEM_CAP_MOVE_VCPUS,
			    "VM type %lu", type);
		TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM), 1);
	}
}

/* Registers that a C compiler keeps across a ucall, and the stack. */
static void sums(void)
{
	uint64_t sum = 0;

	for (uint64_t i = 1; i <= 20; i++) {
		sum += i;
		GUEST_SYNC(sum);
	}
	GUEST_DONE();
}

static void expect_sync(struct kvm_vcpu *vcpu, uint64_t value)
{
	struct ucall uc;

	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		TEST_ASSERT_EQ(uc.args[1], value);
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	default:
		TEST_FAIL("no sync with %lu: exit reason %u", value, vcpu->run->exit_reason);
	}
}

static void guest_goes_on(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct kvm_vcpu *vcpu = ancestor(type, sums);
		uint64_t sum = 0;

		for (uint64_t i = 1; i <= 20; i++) {
			sum += i;
			TEST_ASSERT_EQ(run_once(vcpu), 0);
			expect_sync(vcpu, sum);
			vcpu = succeed(vcpu);
		}
		TEST_ASSERT_EQ(run_once(vcpu), 0);
		expect_done(vcpu);
	}
}

/* Private memory: what the guest keeps there is the moved VM's too. */
static void private_memory_goes_along(void)
{
	struct machine *a, b;

	require_move_vcpus();
	a = machine_create(8);
	guest_write(a, 0, 8, 1);

	b = *a;
	b.vcpu = successor(a->vcpu);
	b.vm = b.vcpu->vm;
	b.view = link_view(b.vm, a->view);
	machine_bind(&b, 0);
	move_vcpus(b.vm, a->vm);
	machine_close_view(a);
	close_vm(a->vm);
	guest_expect(&b, 0, 8, 1);
}

/* A source that has not run tells of no exit, and a VMM's own wishes stay its own. */
static void run_page_is_the_destinations(void)
{
	struct kvm_vcpu *src, *dst;

	require_move_vcpus();
	src = ancestor(KVM_X86_DEFAULT_VM, sums);
	dst = successor(src);
	dst->run->immediate_exit = 1;
	move_vcpus(dst->vm, src->vm);
	TEST_ASSERT_EQ(dst->run->exit_reason, KVM_EXIT_UNKNOWN);
	TEST_ASSERT_EQ(run_once(dst), EINTR);
	dst->run->immediate_exit = 0;
	TEST_ASSERT_EQ(run_once(dst), 0);
	expect_sync(dst, 1);
}

static const struct claim claims[] = {
	CLAIM(capability, "it is told on default and software-protected VMs, by both capabilities"),
	CLAIM(guest_goes_on, "a guest goes on in a function, moved at each of its steps"),
	CLAIM(private_memory_goes_along, "so does private memory"),
	CLAIM(run_page_is_the_destinations, "what a VMM asks by the run page is not moved"),
};

CLAIMS_MAIN(claims);
