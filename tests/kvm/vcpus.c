// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS: what goes along with the vCPUs, and when they can't be moved.
 * Time, interrupts and nested guests have programs of their own.
 */
#include "claims.h"
#include "machine.h"
#include "registers.h"
#include "successor.h"

#define TYPES(type)	for (unsigned long type = KVM_X86_DEFAULT_VM;		\
			     type <= KVM_X86_SW_PROTECTED_VM; type++)

static void capability(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = type };
		struct kvm_vm *vm = ____vm_create(shape);

		TEST_ASSERT(vm_check_cap(vm, KVM_CAP_GMEM) & KVM_GMEM_CAP_MOVE_VCPUS,
			    "VM type %lu", type);
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

static void expect_done(struct kvm_vcpu *vcpu)
{
	struct ucall uc;
	uint64_t cmd = get_ucall(vcpu, &uc);

	if (cmd == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(cmd == UCALL_DONE, "guest is not done: exit reason %u",
		    vcpu->run->exit_reason);
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

#define PORT	0x77

static void registers(void)
{
	GUEST_ASSERT_EQ(registers_over_in(PORT, 1, 1), 0xfeedbeef);
	GUEST_DONE();
}

static uint8_t *pio_data(struct kvm_vcpu *vcpu)
{
	return (uint8_t *)vcpu->run + vcpu->run->io.data_offset;
}

static void expect_io(struct kvm_vcpu *vcpu, unsigned int direction, unsigned int size)
{
	struct kvm_run *run = vcpu->run;
	struct ucall uc;

	if (run->exit_reason == KVM_EXIT_IO && run->io.port != PORT &&
	    get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_IO && run->io.port == PORT &&
		    run->io.direction == direction && run->io.size == size,
		    "exit reason %u, port %#x", run->exit_reason, run->io.port);
}

/* The exit goes along: who has the destination answers it. */
static void registers_and_a_read_in_flight(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct kvm_vcpu *vcpu = ancestor(type, registers);

		TEST_ASSERT_EQ(run_once(vcpu), 0);
		expect_io(vcpu, KVM_EXIT_IO_IN, 4);
		*(uint32_t *)pio_data(vcpu) = 0xdeaddead;
		vcpu = succeed(vcpu);
		expect_io(vcpu, KVM_EXIT_IO_IN, 4);
		*(uint32_t *)pio_data(vcpu) = 0xfeedbeef;
		TEST_ASSERT_EQ(run_once(vcpu), 0);
		expect_done(vcpu);
	}
}

static const struct claim claims[] = {
	CLAIM(capability, "KVM_CAP_GMEM tells it, on default and software-protected VMs"),
	CLAIM(guest_goes_on, "a guest goes on in a function, moved at each of its steps"),
	CLAIM(private_memory_goes_along, "so does private memory"),
	CLAIM(registers_and_a_read_in_flight,
	      "all registers are there after an IN that the source asked and the destination answers"),
};

CLAIMS_MAIN(claims);
