// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must be equal in source and destination before vCPUs move: what their
 * VMM set up and the guest relies on, but never changes by itself.
 */
#include <linux/kvm_host.h>

#include "cpuid.h"
#include "i8254.h"
#include "kvm_cache_regs.h"

#include "vcpus.h"

/* A PIT, and the speaker's port with it. */
static bool kvm_move_same_pit(const struct kvm_pit *d, const struct kvm_pit *s)
{
	if (!d || !s)
		return d == s;

	return !d->speaker_dev.ops == !s->speaker_dev.ops;
}

static bool kvm_move_same_irqchip(const struct kvm_arch *d, const struct kvm_arch *s)
{
	return d->irqchip_mode == s->irqchip_mode &&
	       d->nr_reserved_ioapic_pins == s->nr_reserved_ioapic_pins &&
	       d->x2apic_format == s->x2apic_format &&
	       d->x2apic_broadcast_quirk_disabled == s->x2apic_broadcast_quirk_disabled &&
	       d->apic_bus_cycle_ns == s->apic_bus_cycle_ns &&
	       d->bsp_vcpu_id == s->bsp_vcpu_id &&
	       kvm_move_same_pit(d->vpit, s->vpit);
}

static bool kvm_move_same_caps(const struct kvm_arch *d, const struct kvm_arch *s)
{
	return d->mwait_in_guest == s->mwait_in_guest &&
	       d->hlt_in_guest == s->hlt_in_guest &&
	       d->pause_in_guest == s->pause_in_guest &&
	       d->cstate_in_guest == s->cstate_in_guest &&
	       d->disabled_quirks == s->disabled_quirks &&
	       d->guest_can_read_msr_platform_info == s->guest_can_read_msr_platform_info &&
	       d->exception_payload_enabled == s->exception_payload_enabled &&
	       d->triple_fault_event == s->triple_fault_event &&
	       d->bus_lock_detection_enabled == s->bus_lock_detection_enabled &&
	       d->enable_pmu == s->enable_pmu &&
	       d->notify_window == s->notify_window &&
	       d->notify_vmexit_flags == s->notify_vmexit_flags &&
	       d->exit_on_emulation_error == s->exit_on_emulation_error &&
	       d->user_space_msr_mask == s->user_space_msr_mask &&
	       d->hypercall_exit_enabled == s->hypercall_exit_enabled &&
	       d->sgx_provisioning_allowed == s->sgx_provisioning_allowed;
}

/*
 * Xen's and Hyper-V's interfaces keep state of their own in many places (event
 * channels, synthetic timers), which is not moved: no VM that has them is.
 */
static bool kvm_move_has_other_hypervisor(struct kvm *kvm)
{
#ifdef CONFIG_KVM_HYPERV
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (vcpu->arch.hyperv_enabled)
			return true;
	}
#endif
	return kvm->arch.xen_hvm_config.msr || kvm->arch.xen_hvm_config.flags;
}

/**
 * kvm_move_vms_match() - may vCPUs move from this VM to that one?
 * @dst: the destination
 * @src: the source
 *
 * Context: kvm->lock of both is held.
 * Return: whether the capabilities that userspace enabled and the irqchips are
 * the same, and neither talks Hyper-V or Xen to its guest.
 */
bool kvm_move_vms_match(struct kvm *dst, struct kvm *src)
{
	return kvm_move_same_irqchip(&dst->arch, &src->arch) &&
	       kvm_move_same_caps(&dst->arch, &src->arch) &&
	       !kvm_move_has_other_hypervisor(dst) &&
	       !kvm_move_has_other_hypervisor(src);
}

/*
 * The bits of a CPUID entry that KVM keeps up to date with the vCPU's state:
 * they follow that state to the destination.
 */
static struct kvm_cpuid_entry2 kvm_move_static_cpuid(const struct kvm_cpuid_entry2 *entry)
{
	struct kvm_cpuid_entry2 e = *entry;

	memset(e.padding, 0, sizeof(e.padding));
	switch (e.function) {
	case 0x1:
		cpuid_entry_clear(&e, X86_FEATURE_OSXSAVE);
		cpuid_entry_clear(&e, X86_FEATURE_APIC);
		cpuid_entry_clear(&e, X86_FEATURE_MWAIT);
		break;
	case 0x7:
		if (!e.index)
			cpuid_entry_clear(&e, X86_FEATURE_OSPKE);
		break;
	case 0xd:
		if (e.index < 2)
			e.ebx = 0;
		break;
	}
	return e;
}

static bool kvm_move_same_cpuid(const struct kvm_vcpu_arch *d, const struct kvm_vcpu_arch *s)
{
	struct kvm_cpuid_entry2 de, se;

	if (d->cpuid_nent != s->cpuid_nent)
		return false;

	for (int i = 0; i < s->cpuid_nent; i++) {
		de = kvm_move_static_cpuid(&d->cpuid_entries[i]);
		se = kvm_move_static_cpuid(&s->cpuid_entries[i]);
		if (memcmp(&de, &se, sizeof(de)))
			return false;
	}
	return true;
}

static bool kvm_move_same_fpu(const struct fpu_guest *d, const struct fpu_guest *s)
{
	return d->fpstate->size == s->fpstate->size &&
	       d->fpstate->xfeatures == s->fpstate->xfeatures;
}

/**
 * kvm_move_vcpus_match() - may this vCPU's state move to that one?
 * @dst: the destination's vCPU
 * @src: the source's vCPU
 *
 * A destination whose VMM has put it into a nested guest is not fresh.
 *
 * Context: vcpu->mutex of both is held.
 * Return: whether CPUID and what else userspace fixes of a vCPU are the same, and do not
 * forbid what moves.
 */
bool kvm_move_vcpus_match(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	const struct kvm_vcpu_arch *d = &dst->arch, *s = &src->arch;

	return !d->guest_state_protected && !s->guest_state_protected &&
	       !is_guest_mode(dst) &&
	       !d->apic == !s->apic &&
	       d->mcg_cap == s->mcg_cap &&
	       d->pv_cpuid.enforce == s->pv_cpuid.enforce &&
	       kvm_move_same_cpuid(d, s) &&
	       kvm_move_same_fpu(&d->guest_fpu, &s->guest_fpu) &&
	       kvm_move_lapic_fits(dst, src);
}
