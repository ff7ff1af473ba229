// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU that sleeps in KVM_RUN though its guest is not halted: it waits for a page.
 *
 * To the rest of KVM and to the hardware it is blocked as in HLT: interrupts are not
 * posted to a vCPU that does not run but wake it, and its timer is not one that runs
 * in the guest only. What it wakes up for is less than in HLT. An event that the
 * guest can't take now is no news: going back to the guest with it, KVM would come
 * back at once with the same fault, and so on for as long as the page is owed. Such
 * are masked events, and all others while KVM delivers one, if it is that which needs
 * the page (a gate, a stack). KVM_REQ_EVENT does not tell these from the others:
 * it asks that KVM look, also when the exit has just left an event to deliver again.
 */
#include <linux/kvm_host.h>

#include "lapic.h"
#include "x86.h"

#include "../gmem.h"
#include "wait.h"

/*
 * INIT takes the vCPU out of whatever it does. To a nested guest that is an exit, which
 * comes after the delivery.
 */
static bool gmem_vcpu_has_init(struct kvm_vcpu *vcpu)
{
	return kvm_apic_has_pending_init_or_sipi(vcpu) && kvm_apic_init_sipi_allowed(vcpu) &&
	       !(is_guest_mode(vcpu) && kvm_event_needs_reinjection(vcpu));
}

static bool gmem_vcpu_has_smi(struct kvm_vcpu *vcpu)
{
#ifdef CONFIG_KVM_SMM
	return vcpu->arch.smi_pending && kvm_x86_call(smi_allowed)(vcpu, false);
#else
	return false;
#endif
}

static bool gmem_vcpu_has_nested_event(struct kvm_vcpu *vcpu, bool interrupts)
{
	return is_guest_mode(vcpu) && kvm_x86_ops.nested_ops->has_events &&
	       kvm_x86_ops.nested_ops->has_events(vcpu, !interrupts);
}

static bool gmem_vcpu_can_take_event(struct kvm_vcpu *vcpu)
{
	bool interrupts;

	/* Looking for interrupts takes over those posted: else each would wake it anew. */
	interrupts = kvm_arch_interrupt_allowed(vcpu);
	if (kvm_cpu_has_interrupt(vcpu) && interrupts && !kvm_event_needs_reinjection(vcpu))
		return true;

	if (gmem_vcpu_has_init(vcpu))
		return true;

	if (kvm_event_needs_reinjection(vcpu))
		return false;

	return kvm_is_exception_pending(vcpu) || gmem_vcpu_has_smi(vcpu) ||
	       (vcpu->arch.nmi_pending && kvm_x86_call(nmi_allowed)(vcpu, false)) ||
	       gmem_vcpu_has_nested_event(vcpu, interrupts);
}

/**
 * gmem_vcpu_has_event() - is there an event that a waiting vCPU's guest can take?
 * @vcpu: the vCPU, loaded
 *
 * As kvm_vcpu_has_events() for a halted one, less what only a halted one is woken by.
 *
 * Context: KVM_RUN; the task may be about to sleep. Nothing that KVM would wait for
 * is looked at here: it says that there may be an event, and looks again later.
 * Return: whether KVM_RUN is to go on; KVM will look for the event then.
 */
bool gmem_vcpu_has_event(struct kvm_vcpu *vcpu)
{
	int idx = srcu_read_lock(&vcpu->kvm->srcu);
	bool can;

	preempt_disable();
	can = gmem_vcpu_can_take_event(vcpu);
	preempt_enable();
	srcu_read_unlock(&vcpu->kvm->srcu, idx);

	if (can)
		kvm_make_request(KVM_REQ_EVENT, vcpu);
	return can;
}

/**
 * gmem_vcpu_block() - a vCPU is about to sleep
 * @vcpu: the vCPU, loaded
 *
 * Afterwards whatever is for the vCPU wakes its task.
 *
 * Context: KVM_RUN, without kvm->srcu.
 * Return: for gmem_vcpu_unblock().
 */
bool gmem_vcpu_block(struct kvm_vcpu *vcpu)
{
	bool hv_timer = kvm_lapic_hv_timer_in_use(vcpu);

	if (hv_timer)
		kvm_lapic_switch_to_sw_timer(vcpu);

	vcpu->stat.generic.blocking = 1;
	preempt_disable();
	kvm_arch_vcpu_blocking(vcpu);
	prepare_to_rcuwait(kvm_arch_vcpu_get_wait(vcpu));
	preempt_enable();
	return hv_timer;
}

/**
 * gmem_vcpu_unblock() - undo gmem_vcpu_block()
 * @vcpu: the vCPU
 * @hv_timer: what that returned
 *
 * Context: as gmem_vcpu_block().
 */
void gmem_vcpu_unblock(struct kvm_vcpu *vcpu, bool hv_timer)
{
	preempt_disable();
	finish_rcuwait(kvm_arch_vcpu_get_wait(vcpu));
	kvm_arch_vcpu_unblocking(vcpu);
	preempt_enable();
	vcpu->stat.generic.blocking = 0;

	if (hv_timer)
		kvm_lapic_switch_to_hv_timer(vcpu);
}
