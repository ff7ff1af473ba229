// SPDX-License-Identifier: GPL-2.0-only
/*
 * Areas that KVM shares with the guest: kvmclock, steal time, PV EOI, async
 * page faults. The addresses move; the destination's own ways to get there
 * are looked up at its first KVM_RUN, in its VMM's process, with none of a move's
 * locks held.
 */
#include <linux/kvm_host.h>
#include <linux/sched.h>

#include "lapic.h"
#include "x86.h"

#include "../gmem/access.h"
#include "move.h"
#include "vcpus.h"

/**
 * kvm_move_wake_all() - have all tasks woken that wait for a page of the source
 * @pair: the two vCPUs
 *
 * Pages that the source was fetching for the guest are fetched again when the
 * destination's vCPU touches them. Tasks of the guest that wait for them are told
 * to try.
 *
 * Context: vcpu->mutex of both is held; @pair->dst has not run.
 * Return: 0, or -ENOMEM.
 */
int kvm_move_wake_all(struct kvm_move_pair *pair)
{
	int r;

	if (!kvm_pv_async_pf_enabled(pair->src) || !list_empty(&pair->dst->async_pf.done))
		return 0;

	r = kvm_async_pf_wakeup_all(pair->dst);
	pair->woken = !r;
	return r;
}

/**
 * kvm_move_undo_wake_all() - undo kvm_move_wake_all()
 * @pair: the two vCPUs
 *
 * A vCPU that has not run waits for no page: the wake-up is all there is.
 *
 * Context: as for kvm_move_wake_all().
 */
void kvm_move_undo_wake_all(struct kvm_move_pair *pair)
{
	if (pair->woken)
		kvm_clear_async_pf_completion_queue(pair->dst);
}

static void kvm_move_copy_apf(struct kvm_vcpu_arch *d, const struct kvm_vcpu_arch *s)
{
	d->apf.msr_en_val = s->apf.msr_en_val;
	d->apf.msr_int_val = s->apf.msr_int_val;
	d->apf.vec = s->apf.vec;
	d->apf.id = s->apf.id;
	d->apf.send_user_only = s->apf.send_user_only;
	d->apf.delivery_as_pf_vmexit = s->apf.delivery_as_pf_vmexit;
	d->apf.pageready_pending = s->apf.pageready_pending;
}

/**
 * kvm_move_copy_pv() - copy where the shared areas are, to be armed later
 * @dst: the destination's vCPU
 * @src: the source's vCPU
 *
 * Context: see vcpus.h.
 */
void kvm_move_copy_pv(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct kvm_vcpu_arch *d = &dst->arch, *s = &src->arch;

	d->time = s->time;
	d->pvclock_set_guest_stopped_request = s->pvclock_set_guest_stopped_request;
	d->st.msr_val = s->st.msr_val;
	d->pv_eoi.msr_val = s->pv_eoi.msr_val;
	kvm_move_copy_apf(d, s);

	/* Never through what the destination's VMM may have pointed them at. */
	d->st.cache.memslot = NULL;
	kvm_make_request(KVM_REQ_MOVED, dst);
}

/**
 * kvm_move_arm_vcpu() - look up the areas that a moved vCPU shares with the guest
 * @vcpu: the destination's vCPU
 *
 * An area for which there is no memslot is not written, as when a guest gives
 * such an address. That a vCPU did not run during the blackout is not time that
 * was stolen from it by another: account from now on, in the new thread.
 *
 * Context: the first KVM_RUN after the move, before any other request is
 * looked at; vcpu->mutex is held, and kvm->srcu by the vCPU, which is given up where a pager owes
 * kvmclock's page.
 */
void kvm_move_arm_vcpu(struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu_arch *a = &vcpu->arch;

	if (a->time & 1)
		kvm_gmem_cache_activate(vcpu, &a->pv_time, a->time & ~1ULL,
					sizeof(struct pvclock_vcpu_time_info));
	else
		kvm_gpc_deactivate(&a->pv_time);

	if (lapic_in_kernel(vcpu))
		kvm_lapic_set_pv_eoi(vcpu, a->pv_eoi.msr_val, sizeof(u8));

	if (kvm_pv_async_pf_enabled(vcpu))
		kvm_gfn_to_hva_cache_init(vcpu->kvm, &a->apf.data, a->apf.msr_en_val & ~0x3fULL,
					  sizeof(u64));

	a->st.preempted = 0;
	a->st.last_steal = current->sched_info.run_delay;
	kvm_make_request(KVM_REQ_STEAL_UPDATE, vcpu);
	kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
}
