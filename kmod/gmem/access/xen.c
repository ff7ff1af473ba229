// SPDX-License-Identifier: GPL-2.0-only
/*
 * Xen event channels of a guest whose shared page is not at hand.
 *
 * An event is put into pages that KVM shares with the guest, by whoever raises it: often a
 * kworker, on behalf of an irqfd. That one may not wait for a pager that owes the page, nor for
 * a task that does with gpc->refresh_lock: the end of any irqfd on this host waits for it. If
 * it can't have the page at once, it makes a note with the vCPU that the event is for. That
 * vCPU gets the page, in KVM_RUN, and puts the event there; so does an ioctl that asks for the
 * vCPU's state, to save it. An ioctl leaves the event to the vCPU, too, if a pager owes the
 * page. While the VMM has taken the shared page away, or not said yet where it is, the vCPU
 * keeps its events. An event is lost where the page is not to be had at all: its pager has
 * failed it, say, or its memory has gone.
 */
#include "../access.h"
#include "../gmem.h"
#include "../pager/owed.h"
#include "../pager/wait.h"
#include "../view.h"

#include <xen/interface/event_channel.h>

#include "xen.h"

static_assert(KVM_GMEM_EVTCHNS == EVTCHN_2L_NR_CHANNELS);

/*
 * Is it worth while to try again later? If a pager owes the page, it is asked for it. Where the
 * page could not be had, there was no memory for it, if it is not there and no pager has failed
 * it.
 */
static bool gmem_shinfo_comes_locked(struct kvm *kvm, gpa_t gpa, bool failed)
{
	struct kvm_memory_slot *slot;
	struct gmem_inode *gi;
	pgoff_t index;
	bool comes;

	slot = gfn_to_memslot(kvm, gpa_to_gfn(gpa));
	if (!kvm_gmem_holds(kvm, slot, gpa_to_gfn(gpa)))
		return false;

	gi = gmem_slot_get_inode(slot, gpa_to_gfn(gpa), &index);
	if (!gi)
		return false;

	comes = gi->pager && gmem_pager_waits(gi, index);
	/* If this fails for want of memory, the vCPU asks when it gets there. */
	if (comes)
		gmem_pager_ask(gi, index, kvm->userspace_pid, KVM_GMEM_FAULT_KVM);
	else if (failed)
		comes = !gmem_pager_missing(gi, index) &&
			!xa_load(&gmem_mapping(gi)->i_pages, index);
	iput(&gi->vfs_inode);
	return comes;
}

static bool gmem_shinfo_comes(struct kvm *kvm, gpa_t gpa, bool failed)
{
	int idx = srcu_read_lock(&kvm->srcu);
	bool comes = gmem_shinfo_comes_locked(kvm, gpa, failed);

	srcu_read_unlock(&kvm->srcu, idx);
	return comes;
}

/* The index is -1 when it is to be looked up anew. */
static struct kvm_vcpu *gmem_evtchn_vcpu(struct kvm *kvm, const struct kvm_xen_evtchn *xe)
{
	int idx = READ_ONCE(xe->vcpu_idx);

	return idx < 0 ? kvm_get_vcpu_by_id(kvm, READ_ONCE(xe->vcpu_id)) : kvm_get_vcpu(kvm, idx);
}

/* Events were left to a vCPU: it is to look at them. */
static void gmem_evtchns_deferred(struct kvm_vcpu *vcpu)
{
	/* After the bits: kvm_gmem_send_evtchns() looks the other way round. */
	smp_store_release(&vcpu->arch.xen.gmem_deferred, true);
	/* The vCPU itself looks again before it sleeps, and enters the guest meanwhile. */
	if (vcpu != kvm_get_running_vcpu()) {
		kvm_make_request(KVM_REQ_UNBLOCK, vcpu);
		kvm_vcpu_kick(vcpu);
	}
}

/**
 * kvm_gmem_defer_evtchn() - leave an event to its vCPU, if the shared page can't be had here
 * @xe: the event
 * @kvm: the VM
 * @failed: the page could not be had. A kthread leaves the event to the vCPU then, which finds
 *	    out why
 *
 * Context: Process context, may sleep; no lock held.
 * Return: whether it was left to the vCPU.
 */
bool kvm_gmem_defer_evtchn(struct kvm_xen_evtchn *xe, struct kvm *kvm, bool failed)
{
	struct gfn_to_pfn_cache *gpc = &kvm->arch.xen.shinfo_cache;
	struct kvm_vcpu *vcpu = gmem_evtchn_vcpu(kvm, xe);

	if (!vcpu || !READ_ONCE(gpc->active) || xe->port >= KVM_GMEM_EVTCHNS)
		return false;
	if (!gmem_shinfo_comes(kvm, READ_ONCE(gpc->gpa), failed) && (!failed || gmem_may_wait()))
		return false;

	set_bit(xe->port, vcpu->arch.xen.gmem_evtchns);
	gmem_evtchns_deferred(vcpu);
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

	/* A full barrier: kvm_gmem_retry_evtchns() sets it anew, after the page became active. */
	if (!xchg(&xen->gmem_deferred, false))
		return;
	if (!READ_ONCE(vcpu->kvm->arch.xen.shinfo_cache.active))
		return;

	kvm_gmem_await(vcpu->kvm, kvm_gmem_cached_gpa(&vcpu->kvm->arch.xen.shinfo_cache));
	for_each_set_bit(port, xen->gmem_evtchns, KVM_GMEM_EVTCHNS) {
		struct kvm_xen_evtchn xe = {
			.port = port,
			.vcpu_id = vcpu->vcpu_id,
			.vcpu_idx = vcpu->vcpu_idx,
			.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
		};

		/* Before: it may be left to this vCPU again. */
		clear_bit(port, xen->gmem_evtchns);
		/* The page was taken away meanwhile: the event is for the next one. */
		if (send(&xe, vcpu->kvm) == -EINVAL)
			set_bit(port, xen->gmem_evtchns);
	}
}

/**
 * kvm_gmem_retry_evtchns() - have vCPUs send what was left to them while there was no shared page
 * @kvm: the VM, whose shared page may have become active
 *
 * A vCPU keeps events for as long as there is none: the VMM has taken it away, or a move has
 * brought events to a VM whose VMM had not said yet where the page is.
 *
 * Context: Process context; kvm->arch.xen.xen_lock is held.
 */
void kvm_gmem_retry_evtchns(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (!READ_ONCE(kvm->arch.xen.shinfo_cache.active))
		return;

	smp_mb(); /* pairs with the xchg() in kvm_gmem_send_evtchns() */
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!bitmap_empty(vcpu->arch.xen.gmem_evtchns, KVM_GMEM_EVTCHNS))
			gmem_evtchns_deferred(vcpu);
	}
}

/**
 * kvm_gmem_settle_evtchns() - send what was left to a vCPU before its state is told
 * @vcpu: the vCPU
 * @inject: kvm_xen_inject_pending_events()
 *
 * No ioctl tells of these events, nor of those on their way into the vCPU's own page: they are
 * in the pages afterwards, which are saved with the guest's memory.
 *
 * Context: An ioctl of the vCPU, loaded; otherwise as kvm_gmem_await_ioctl().
 * Return: likewise.
 */
int kvm_gmem_settle_evtchns(struct kvm_vcpu *vcpu, void (*inject)(struct kvm_vcpu *vcpu))
{
	struct kvm_vcpu_xen *xen = &vcpu->arch.xen;

	if (!READ_ONCE(xen->gmem_deferred) && !READ_ONCE(xen->evtchn_pending_sel))
		return 0;

	if (kvm_gmem_await_shinfo(vcpu->kvm) ||
	    kvm_gmem_await_ioctl(vcpu->kvm, kvm_gmem_cached_gpa(&xen->vcpu_info_cache)))
		return -EINTR;

	kvm_vcpu_srcu_read_lock(vcpu);
	inject(vcpu);
	kvm_vcpu_srcu_read_unlock(vcpu);
	return 0;
}

/**
 * kvm_gmem_move_evtchns() - take the events along that were left to a vCPU
 * @dst: the destination's vCPU
 * @src: the source's, of the same vcpu_id
 *
 * Those that are on their way into the vCPU's own page go along too: KVM tells userspace of
 * neither. The source's timer is its VMM's to set anew; it raises nothing meanwhile.
 *
 * Context: vcpu->mutex of both is held; ioctls and irqfds raise no events in the source any
 * more, but others may in the destination.
 */
void kvm_gmem_move_evtchns(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct kvm_vcpu_xen *d = &dst->arch.xen, *s = &src->arch.xen;
	unsigned int i;

	if (s->timer.function)
		hrtimer_cancel(&s->timer);

	for_each_set_bit(i, s->gmem_evtchns, KVM_GMEM_EVTCHNS) {
		if (test_and_clear_bit(i, s->gmem_evtchns))
			set_bit(i, d->gmem_evtchns);
	}
	for_each_set_bit(i, &s->evtchn_pending_sel, BITS_PER_LONG)
		set_bit(i, &d->evtchn_pending_sel);

	/* Also where the source had no shared page: the destination may have one already. */
	if (!bitmap_empty(d->gmem_evtchns, KVM_GMEM_EVTCHNS)) {
		/* After the bits, as in gmem_evtchns_deferred(). */
		smp_store_release(&d->gmem_deferred, true);
	}
	kvm_make_request(KVM_REQ_UNBLOCK, dst);
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
	return kvm_gmem_await_ioctl(kvm, kvm_gmem_cached_gpa(&kvm->arch.xen.shinfo_cache));
}

/*
 * The bytes of a runstate area that KVM writes. They may go on in the next page, also where they
 * did not when the VMM said where they begin: the guest of 32 bits is one of 64 now.
 */
static size_t gmem_runstate_size(struct kvm *kvm)
{
	return READ_ONCE(kvm->arch.xen.long_mode) ? sizeof(struct vcpu_runstate_info) :
	       sizeof(struct compat_vcpu_runstate_info);
}

static int gmem_await_runstate_at(struct kvm *kvm, gpa_t gpa)
{
	if (gpa == INVALID_GPA)
		return 0;

	return kvm_gmem_await_ioctl(kvm, gpa) ? :
	       kvm_gmem_await_ioctl(kvm, gpa + gmem_runstate_size(kvm) - 1);
}

/**
 * kvm_gmem_await_runstate() - have the pages come that tell a guest of a vCPU's runstate
 * @vcpu: the vCPU
 *
 * Context: KVM_RUN; as kvm_gmem_await().
 */
void kvm_gmem_await_runstate(struct kvm_vcpu *vcpu)
{
	gpa_t gpa = kvm_gmem_cached_gpa(&vcpu->arch.xen.runstate_cache);
	struct kvm *kvm = vcpu->kvm;

	if (gpa == INVALID_GPA)
		return;

	kvm_gmem_await(kvm, gpa);
	kvm_gmem_await(kvm, gpa + gmem_runstate_size(kvm) - 1);
}

/*
 * Can a vCPU's task wait for the page of upcalls, where it looks there? Not if it must not sleep,
 * nor in KVM_RUN without kvm->srcu by the vCPU: that is a halted vCPU's poll, in which KVM has
 * kvm->srcu for itself. The poll ends, and KVM looks again, with nothing but the vCPU's.
 */
static bool gmem_upcalls_can_wait(struct kvm_vcpu *vcpu)
{
	return preemptible() && task_is_running(current) &&
	       (vcpu->srcu_held || !vcpu->wants_to_run);
}

/* As a rule the page is at hand. */
static void gmem_await_upcalls_locked(struct kvm_vcpu *vcpu)
{
	struct gfn_to_pfn_cache *gpc = &vcpu->arch.xen.vcpu_info_cache;

	if (!READ_ONCE(gpc->valid) ||
	    READ_ONCE(gpc->generation) != kvm_memslots(vcpu->kvm)->generation)
		kvm_gmem_await(vcpu->kvm, kvm_gmem_cached_gpa(gpc));
}

/**
 * kvm_gmem_await_upcalls() - have the page come in which a guest is told of upcalls
 * @vcpu: the vCPU, before KVM looks there for one
 *
 * Where the vCPU's own task looks, which may hold kvm->srcu by the vCPU or not, and uses nothing
 * that it has found by it.
 *
 * Context: Any; waits where gmem_upcalls_can_wait(), without kvm->srcu.
 */
void kvm_gmem_await_upcalls(struct kvm_vcpu *vcpu)
{
	if (vcpu != kvm_get_running_vcpu() || !gmem_upcalls_can_wait(vcpu))
		return;

	if (vcpu->srcu_held) {
		gmem_await_upcalls_locked(vcpu);
	} else {
		kvm_vcpu_srcu_read_lock(vcpu);
		gmem_await_upcalls_locked(vcpu);
		kvm_vcpu_srcu_read_unlock(vcpu);
	}
}

/**
 * kvm_gmem_upcalls_refresh() - refresh the cache of the page of upcalls, and never wait
 * @vcpu: the vCPU
 * @gpc: its cache
 * @len: as kvm_gpc_refresh()
 *
 * Context: After kvm_gmem_await_upcalls(), with kvm->srcu also otherwise than by @vcpu. Another
 * task than that of @vcpu waits in the refresh.
 * Return: 0; -EAGAIN: the page went after it had come, begin again; 1: there may be an upcall,
 * and the caller is to look again where it can wait; another error: there is no such page.
 */
int kvm_gmem_upcalls_refresh(struct kvm_vcpu *vcpu, struct gfn_to_pfn_cache *gpc,
			     unsigned long len)
{
	int r;

	if (vcpu != kvm_get_running_vcpu())
		return kvm_gpc_refresh(gpc, len) ? -EFAULT : 0;

	r = gmem_cache_refresh_nowait(vcpu, gpc, len);
	return r == -EAGAIN && !gmem_upcalls_can_wait(vcpu) ? 1 : r;
}

/**
 * kvm_gmem_await_xen_attr() - have shared pages come before KVM_XEN_VCPU_SET_ATTR begins
 * @vcpu: the vCPU
 * @data: the ioctl's argument
 *
 * Context: as kvm_gmem_await_ioctl().
 * Return: likewise.
 */
int kvm_gmem_await_xen_attr(struct kvm_vcpu *vcpu, const struct kvm_xen_vcpu_attr *data)
{
	switch (data->type) {
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO:
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO:
		return kvm_gmem_await_ioctl(vcpu->kvm, data->u.gpa);
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR:
		return gmem_await_runstate_at(vcpu->kvm, data->u.gpa);
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST:
		return gmem_await_runstate_at(vcpu->kvm,
				kvm_gmem_cached_gpa(&vcpu->arch.xen.runstate_cache));
	default:
		return 0;
	}
}
