// SPDX-License-Identifier: GPL-2.0-only
/*
 * Xen event channels of a guest whose shared page a pager owes.
 *
 * An event is put into pages that KVM shares with the guest, by whoever raises it: often a
 * kworker, on behalf of an irqfd, which may not wait. It makes a note with the vCPU that the
 * event is for. That vCPU waits for the page, in KVM_RUN, where nothing is held, and puts the
 * event there. So nobody else waits, and no event is lost.
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
 * kvm_gmem_defer_evtchn() - leave an event to its vCPU, if the shared page is owed
 * @xe: the event, whose vCPU was looked up
 * @kvm: the VM
 * @failed: the page could not be had. Where it is known by its address in userspace, a kthread
 *	    has not waited for it then, and leaves that to the vCPU too
 *
 * Context: Process context, may sleep; no lock held.
 * Return: whether it was left to the vCPU.
 */
bool kvm_gmem_defer_evtchn(struct kvm_xen_evtchn *xe, struct kvm *kvm, bool failed)
{
	struct gfn_to_pfn_cache *gpc = &kvm->arch.xen.shinfo_cache;
	struct kvm_vcpu *vcpu = kvm_get_vcpu(kvm, READ_ONCE(xe->vcpu_idx));
	gpa_t gpa = READ_ONCE(gpc->gpa);

	/* A dead VM's vCPU would never send it: the caller is told. */
	if (READ_ONCE(kvm->vm_dead))
		return false;
	if (!vcpu || !READ_ONCE(gpc->active) || xe->port >= KVM_GMEM_EVTCHNS)
		return false;

	if (kvm_is_error_gpa(gpa) ? !failed || gmem_may_wait() : !gmem_ask_for_shinfo(kvm, gpa))
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
