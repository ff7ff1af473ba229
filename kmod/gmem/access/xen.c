// SPDX-License-Identifier: GPL-2.0-only
/*
 * Xen event channels of a guest whose shared page is not at hand.
 *
 * An event is put into pages that KVM shares with the guest, by whoever raises it: often a
 * kworker, on behalf of an irqfd. That one may wait for nothing: not for a pager that owes the
 * page, not for memory, and not for gpc->refresh_lock, whose holder may wait for either. For
 * the end of any irqfd on this host waits for it. So it makes a note with the vCPU that the
 * event is for. That vCPU gets the page, in KVM_RUN, and puts the event there. An ioctl leaves
 * the event to the vCPU, too, if a pager owes the page. No event is lost.
 */
#include "../access.h"
#include "../gmem.h"
#include "../pager/owed.h"
#include "../pager/wait.h"
#include "../view.h"

#include <xen/interface/event_channel.h>

#include "xen.h"

static_assert(KVM_GMEM_EVTCHNS == EVTCHN_2L_NR_CHANNELS);

/* Asks for the page if it is owed. If not, getting it tells why that fails. */
static bool gmem_ask_for_shinfo_locked(struct kvm *kvm, gpa_t gpa)
{
	struct kvm_memory_slot *slot;
	struct gmem_inode *gi;
	pgoff_t index;
	bool owed;

	slot = gfn_to_memslot(kvm, gpa_to_gfn(gpa));
	if (!kvm_gmem_holds(kvm, slot, gpa_to_gfn(gpa)))
		return false;

	gi = gmem_slot_get_inode(slot, gpa_to_gfn(gpa), &index);
	if (!gi)
		return false;

	owed = gi->pager && gmem_pager_waits(gi, index);
	/* If this fails for want of memory, the vCPU asks when it gets there. */
	if (owed)
		gmem_pager_ask(gi, index, kvm->userspace_pid, KVM_GMEM_FAULT_KVM);
	iput(&gi->vfs_inode);
	return owed;
}

static bool gmem_ask_for_shinfo(struct kvm *kvm, gpa_t gpa)
{
	int idx = srcu_read_lock(&kvm->srcu);
	bool owed = gmem_ask_for_shinfo_locked(kvm, gpa);

	srcu_read_unlock(&kvm->srcu, idx);
	return owed;
}

/**
 * kvm_gmem_defer_evtchn() - leave an event to its vCPU, if the shared page can't be had here
 * @xe: the event, whose vCPU was looked up
 * @kvm: the VM
 *
 * A kthread leaves each event to its vCPU: it does not look for the page.
 *
 * Context: Process context, may sleep where it is not a kthread; no lock held.
 * Return: whether it was left to the vCPU.
 */
bool kvm_gmem_defer_evtchn(struct kvm_xen_evtchn *xe, struct kvm *kvm)
{
	struct gfn_to_pfn_cache *gpc = &kvm->arch.xen.shinfo_cache;
	struct kvm_vcpu *vcpu = kvm_get_vcpu(kvm, READ_ONCE(xe->vcpu_idx));

	if (!vcpu || !READ_ONCE(gpc->active) || xe->port >= KVM_GMEM_EVTCHNS)
		return false;
	if (gmem_may_wait() && !gmem_ask_for_shinfo(kvm, READ_ONCE(gpc->gpa)))
		return false;

	set_bit(xe->port, vcpu->arch.xen.gmem_evtchns);
	/* After the bit: kvm_gmem_send_evtchns() looks the other way round. */
	smp_store_release(&vcpu->arch.xen.gmem_deferred, true);
	kvm_make_request(KVM_REQ_UNBLOCK, vcpu);
	kvm_vcpu_kick(vcpu);
	return true;
}

/**
 * kvm_gmem_send_evtchns() - send the events that were left to a vCPU
 * @vcpu: the vCPU
 * @send: kvm_xen_set_evtchn()
 *
 * Context: KVM_RUN, between two entries to the guest, with kvm->srcu by the vCPU; waits
 * for a pager, without it.
 */
void kvm_gmem_send_evtchns(struct kvm_vcpu *vcpu,
			   int (*send)(struct kvm_xen_evtchn *xe, struct kvm *kvm))
{
	struct kvm_vcpu_xen *xen = &vcpu->arch.xen;
	unsigned int port;

	if (!xchg(&xen->gmem_deferred, false))
		return;

	kvm_gmem_await(vcpu->kvm, READ_ONCE(vcpu->kvm->arch.xen.shinfo_cache.gpa));
	for_each_set_bit(port, xen->gmem_evtchns, KVM_GMEM_EVTCHNS) {
		struct kvm_xen_evtchn xe = {
			.port = port,
			.vcpu_id = vcpu->vcpu_id,
			.vcpu_idx = vcpu->vcpu_idx,
			.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
		};

		/* Before: it may be left to this vCPU again. */
		clear_bit(port, xen->gmem_evtchns);
		send(&xe, vcpu->kvm);
	}
}

/**
 * kvm_gmem_move_evtchns() - take the events along that were left to a vCPU
 * @dst: the destination's vCPU
 * @src: the source's, of the same vcpu_id
 *
 * Those that are on their way into the vCPU's own page go along too: KVM tells userspace of
 * neither.
 *
 * Context: vcpu->mutex of both is held; nobody raises events in the source any more.
 */
void kvm_gmem_move_evtchns(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct kvm_vcpu_xen *d = &dst->arch.xen, *s = &src->arch.xen;

	if (s->gmem_deferred) {
		bitmap_or(d->gmem_evtchns, d->gmem_evtchns, s->gmem_evtchns, KVM_GMEM_EVTCHNS);
		d->gmem_deferred = true;
	}
	d->evtchn_pending_sel |= s->evtchn_pending_sel;
}

/**
 * kvm_gmem_await_shinfo() - have the shared page come before an ioctl writes to it
 * @kvm: the VM
 *
 * Context: as kvm_gmem_await_ioctl().
 * Return: likewise.
 */
int kvm_gmem_await_shinfo(struct kvm *kvm)
{
	return kvm_gmem_await_ioctl(kvm, READ_ONCE(kvm->arch.xen.shinfo_cache.gpa));
}

/**
 * kvm_gmem_await_xen_attr() - have a shared page come before KVM_XEN_VCPU_SET_ATTR begins
 * @kvm: the VM
 * @data: the ioctl's argument
 *
 * Context: as kvm_gmem_await_ioctl().
 * Return: likewise.
 */
int kvm_gmem_await_xen_attr(struct kvm *kvm, const struct kvm_xen_vcpu_attr *data)
{
	switch (data->type) {
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO:
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR:
		return kvm_gmem_await_ioctl(kvm, data->u.gpa);
	default:
		return 0;
	}
}
