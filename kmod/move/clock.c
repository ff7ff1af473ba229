// SPDX-License-Identifier: GPL-2.0-only
/*
 * TSC and kvmclock. Both VMs are on one host and read one clock: with the same
 * offsets, and the same master clock, time goes on in the destination where
 * it would be in the source. The guest sees the blackout as time that passed.
 */
#include <linux/kvm_host.h>

#include "x86.h"

#include "vcpus.h"

/* Protected by tsc_write_lock, and what kvmclock is computed from by pvclock_sc. */
static void kvm_move_copy_tsc(struct kvm_arch *d, const struct kvm_arch *s)
{
	d->last_tsc_nsec = s->last_tsc_nsec;
	d->last_tsc_write = s->last_tsc_write;
	d->last_tsc_khz = s->last_tsc_khz;
	d->last_tsc_offset = s->last_tsc_offset;
	d->cur_tsc_nsec = s->cur_tsc_nsec;
	d->cur_tsc_write = s->cur_tsc_write;
	d->cur_tsc_offset = s->cur_tsc_offset;
	d->cur_tsc_generation = s->cur_tsc_generation;
	d->nr_vcpus_matched_tsc = s->nr_vcpus_matched_tsc;
	d->default_tsc_khz = s->default_tsc_khz;
	d->user_set_tsc = s->user_set_tsc;
	d->backwards_tsc_observed = s->backwards_tsc_observed;
}

static void kvm_move_copy_kvmclock(struct kvm_arch *d, const struct kvm_arch *s)
{
	d->kvmclock_offset = s->kvmclock_offset;
	d->use_master_clock = s->use_master_clock;
	d->master_kernel_ns = s->master_kernel_ns;
	d->master_cycle_now = s->master_cycle_now;
	d->boot_vcpu_runs_old_kvmclock = s->boot_vcpu_runs_old_kvmclock;
}

/**
 * kvm_move_copy_vm_clock() - copy what all vCPUs of a VM have of clocks
 * @dst: the destination
 * @src: the source
 *
 * The master clock is copied and not taken anew: a new one would start from a
 * slightly different reading of the host's clock, before or after where the
 * old one had come to.
 *
 * Context: see vcpus.h.
 */
void kvm_move_copy_vm_clock(struct kvm *dst, struct kvm *src)
{
	struct kvm_arch *d = &dst->arch, *s = &src->arch;

	raw_spin_lock_irq(&d->tsc_write_lock);
	raw_spin_lock_nested(&s->tsc_write_lock, SINGLE_DEPTH_NESTING);
	write_seqcount_begin(&d->pvclock_sc);

	kvm_move_copy_tsc(d, s);
	kvm_move_copy_kvmclock(d, s);

	write_seqcount_end(&d->pvclock_sc);
	raw_spin_unlock(&s->tsc_write_lock);
	raw_spin_unlock_irq(&d->tsc_write_lock);

	d->wall_clock = s->wall_clock;
}

/**
 * kvm_move_copy_vcpu_clock() - copy what a vCPU has of clocks
 * @dst: the destination's vCPU, loaded
 * @src: the source's vCPU
 *
 * The vendor's code puts the offset where the processor reads it.
 *
 * Context: see vcpus.h.
 */
void kvm_move_copy_vcpu_clock(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct kvm_vcpu_arch *d = &dst->arch, *s = &src->arch;

	d->l1_tsc_offset = s->l1_tsc_offset;
	d->tsc_offset = s->tsc_offset;
	d->l1_tsc_scaling_ratio = s->l1_tsc_scaling_ratio;
	d->tsc_scaling_ratio = s->tsc_scaling_ratio;
	d->tsc_offset_adjustment = s->tsc_offset_adjustment;
	d->last_guest_tsc = s->last_guest_tsc;
	d->last_host_tsc = s->last_host_tsc;
	d->this_tsc_nsec = s->this_tsc_nsec;
	d->this_tsc_write = s->this_tsc_write;
	d->this_tsc_generation = s->this_tsc_generation;
	d->tsc_catchup = s->tsc_catchup;
	d->tsc_always_catchup = s->tsc_always_catchup;
	d->virtual_tsc_shift = s->virtual_tsc_shift;
	d->virtual_tsc_mult = s->virtual_tsc_mult;
	d->virtual_tsc_khz = s->virtual_tsc_khz;
	d->ia32_tsc_adjust_msr = s->ia32_tsc_adjust_msr;
	d->hv_clock = s->hv_clock;
	d->hw_tsc_khz = s->hw_tsc_khz;

	/* The destination's own wish for a master clock is void. */
	kvm_clear_request(KVM_REQ_MASTERCLOCK_UPDATE, dst);
	if (kvm_test_request(KVM_REQ_MASTERCLOCK_UPDATE, src))
		kvm_make_request(KVM_REQ_MASTERCLOCK_UPDATE, dst);
	kvm_make_request(KVM_REQ_CLOCK_UPDATE, dst);
}
