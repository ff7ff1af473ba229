// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steal time in memory that is in an inode.
 *
 * KVM updates it in the guest's memory by instructions of its own, outside the
 * functions that copy: these are the same updates, on a kernel address.
 */
#include "../access.h"
#include "../gmem.h"

#include "cpuid.h"

struct gmem_steal_time {
	struct kvm_vcpu *vcpu;
	bool exchange; /* the guest leaves requests in @preempted */
	u8 preempted;
};

/* The version is odd while the value changes, as the guest's reader expects. */
static void gmem_steal_time_fn(void *addr, void *arg)
{
	struct gmem_steal_time *update = arg;
	struct kvm_vcpu *vcpu = update->vcpu;
	struct kvm_steal_time *st = addr + offset_in_page(vcpu->arch.st.cache.gpa);
	u32 version;

	if (update->exchange)
		update->preempted = xchg(&st->preempted, 0);
	else
		WRITE_ONCE(st->preempted, 0);
	vcpu->arch.st.preempted = 0;

	version = READ_ONCE(st->version);
	if (version & 1)
		version += 1;  /* first time write, random junk */

	WRITE_ONCE(st->version, ++version);
	/* Odd before the value, and even after it. */
	smp_wmb();
	WRITE_ONCE(st->steal, READ_ONCE(st->steal) + current->sched_info.run_delay -
		   vcpu->arch.st.last_steal);
	vcpu->arch.st.last_steal = current->sched_info.run_delay;
	/* As above. */
	smp_wmb();
	WRITE_ONCE(st->version, ++version);
}

/**
 * kvm_gmem_record_steal_time() - update steal time in an inode's page
 * @vcpu: a vCPU whose steal time is on, with arch.st.cache set up
 * @preempted: what the guest had left in that field, for the caller to act on
 *
 * Where it was waited for the pager, and the memory is another then, the update is
 * for the vCPU's next turn: KVM's own would use the address that @vcpu had before.
 *
 * Context: as kvm_gmem_access().
 * Return: whether the memory is in the inode, or was; the update may have failed.
 */
bool kvm_gmem_record_steal_time(struct kvm_vcpu *vcpu, u8 *preempted)
{
	struct gfn_to_hva_cache *ghc = &vcpu->arch.st.cache;
	struct gmem_steal_time update = {
		.vcpu = vcpu,
		.exchange = guest_pv_has(vcpu, KVM_FEATURE_PV_TLB_FLUSH),
	};
	struct kvm_memory_slot *slot = ghc->memslot;
	unsigned long waits = vcpu->gmem_waits;
	int r;

	if (!kvm_gmem_access(vcpu->kvm, &slot, gpa_to_gfn(ghc->gpa), gmem_steal_time_fn,
			     &update, &r)) {
		if (vcpu->gmem_waits == waits)
			return false;
		kvm_make_request(KVM_REQ_STEAL_UPDATE, vcpu);
	}

	*preempted = update.preempted;
	return true;
}

static void gmem_preempted_fn(void *addr, void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct kvm_steal_time *st = addr + offset_in_page(vcpu->arch.st.cache.gpa);

	WRITE_ONCE(st->preempted, KVM_VCPU_PREEMPTED);
	vcpu->arch.st.preempted = KVM_VCPU_PREEMPTED;
}

/**
 * kvm_gmem_set_preempted() - tell a guest that a vCPU is preempted
 * @vcpu: as kvm_gmem_record_steal_time()
 *
 * A hint, which the guest does without where the page can't be had now.
 *
 * Context: as kvm_gmem_access_nowait(): the scheduler switches @vcpu's task out.
 * Return: whether the memory is in the inode.
 */
bool kvm_gmem_set_preempted(struct kvm_vcpu *vcpu)
{
	struct gfn_to_hva_cache *ghc = &vcpu->arch.st.cache;
	int r;

	return kvm_gmem_access_nowait(vcpu->kvm, ghc->memslot, gpa_to_gfn(ghc->gpa),
				      gmem_preempted_fn, vcpu, &r);
}
