// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS: what was raised in the destination before the move is not
 * the guest's. All interrupt controllers are the source's afterwards, and each
 * line is where the source's was.
 */
#include "claims.h"
#include "counting.h"
#include "runner.h"
#include "successor.h"

#define VECTOR		COUNTED_VECTOR
#define PIN		5
#define OTHER_PIN	7

static void counting_guest(void)
{
	lapic_enable();
	ioapic_redirect(PIN, VECTOR);
	ioapic_redirect(OTHER_PIN, IOAPIC_MASKED | (VECTOR + 1));
	GUEST_SYNC(1);
	for (;;)
		halt();
}

static void get_chips(struct kvm_vm *vm, struct kvm_irqchip *chips)
{
	memset(chips, 0, 3 * sizeof(*chips));
	for (int i = 0; i < 3; i++) {
		chips[i].chip_id = i;	/* both PICs and the IOAPIC */
		vm_ioctl(vm, KVM_GET_IRQCHIP, &chips[i]);
	}
}

static void raise_all(struct kvm_vm *vm)
{
	kvm_irq_line(vm, PIN, 1);		/* stays up */
	kvm_irq_line(vm, OTHER_PIN, 1);		/* a pulse */
	kvm_irq_line(vm, OTHER_PIN, 0);
	signal_msi(vm);
}

static void raised_before(void)
{
	struct kvm_irqchip was[3], is[3];
	struct kvm_lapic_state lapic_was, lapic_is;
	volatile uint64_t *count;
	struct kvm_vcpu *src, *dst;
	struct runner r;

	require_move_vcpus();
	src = ancestor(KVM_X86_DEFAULT_VM, counting_guest);
	handle_counted(src->vm, count_interrupt);
	count = *GUEST_VARIABLE(src->vm, interrupt_counts);
	run_to_sync(src, 1);
	get_chips(src->vm, was);
	vcpu_ioctl(src, KVM_GET_LAPIC, &lapic_was);

	dst = successor(src);
	raise_all(dst->vm);
	get_chips(dst->vm, is);
	TEST_ASSERT(memcmp(was, is, sizeof(is)), "nothing was raised");
	move_vcpus(dst->vm, src->vm);
	get_chips(dst->vm, is);
	TEST_ASSERT(!memcmp(was, is, sizeof(is)), "an interrupt controller is not the source's");
	vcpu_ioctl(dst, KVM_GET_LAPIC, &lapic_is);
	TEST_ASSERT(!memcmp(&lapic_was, &lapic_is, sizeof(lapic_is)), "nor is the LAPIC");
	run_for(dst, 100);
	TEST_ASSERT_EQ(count[0], 0UL);

	/* The line is down, whatever the VMM did before: up is an edge. */
	runner_start(&r, dst);
	kvm_irq_line(dst->vm, PIN, 1);
	wait_for(&count[0], 1);
	TEST_ASSERT(!runner_stop(&r), "exit reason %u", dst->run->exit_reason);
	TEST_ASSERT_EQ(count[1], 0UL);
}

static const struct claim claims[] = {
	CLAIM(raised_before, "what was raised in the destination is gone, lines are the source's"),
};

CLAIMS_MAIN(claims);
