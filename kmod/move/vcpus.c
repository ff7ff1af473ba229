// SPDX-License-Identifier: GPL-2.0-only
/*
 * All vCPUs of two VMs, in pairs of the same id.
 */
#include <linux/kvm_host.h>

#include "lapic.h"
#include "mmu.h"
#include "x86.h"

#include "vcpus.h"

static int kvm_move_make_pairs(struct kvm_move_vcpus *vcpus, struct kvm *dst, struct kvm *src)
{
	struct kvm_move_pair *pair = vcpus->pairs;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, src) {
		pair->src = vcpu;
		pair->dst = kvm_get_vcpu_by_id(dst, vcpu->vcpu_id);
		if (!pair->dst || !kvm_move_vcpus_match(pair->dst, pair->src))
			return -EINVAL;
		pair++;
	}
	return 0;
}

static int kvm_move_prepare_pairs(struct kvm_move_vcpus *vcpus)
{
	struct kvm_move_pair *pair;
	int r;

	for (pair = vcpus->pairs; pair < vcpus->pairs + vcpus->nr; pair++) {
		r = kvm_x86_call(vcpu_move_prepare)(pair->dst, pair->src);
		if (r)
			return r;

		r = kvm_move_wake_all(pair);
		if (r)
			return r;
	}
	return 0;
}

/**
 * kvm_move_vcpus_prepare() - all of moving vCPUs that can fail
 * @vcpus: filled in; for kvm_move_vcpus_undo() or kvm_move_vcpus_commit()
 * @dst: the destination
 * @src: the source
 *
 * Context: kvm->lock and all vcpu->mutex of both are held.
 * Return: 0; or, with nothing left to undo, -EINVAL where the VMs, their vCPUs
 * or their CPUID do not match, or there is no vCPU; -ENOMEM.
 */
int kvm_move_vcpus_prepare(struct kvm_move_vcpus *vcpus, struct kvm *dst, struct kvm *src)
{
	int r;

	lockdep_assert_held(&dst->lock);
	lockdep_assert_held(&src->lock);

	*vcpus = (struct kvm_move_vcpus){ .nr = atomic_read(&src->online_vcpus) };
	if (!vcpus->nr || atomic_read(&dst->online_vcpus) != vcpus->nr ||
	    !kvm_move_vms_match(dst, src))
		return -EINVAL;

	r = -ENOMEM;
	vcpus->pairs = kvcalloc(vcpus->nr, sizeof(*vcpus->pairs), GFP_KERNEL_ACCOUNT);
	vcpus->lapic = kzalloc(sizeof(*vcpus->lapic), GFP_KERNEL_ACCOUNT);
	if (!vcpus->pairs || !vcpus->lapic)
		goto err;

	r = kvm_move_make_pairs(vcpus, dst, src);
	if (r)
		goto err;

	r = kvm_move_prepare_pairs(vcpus);
	if (r)
		goto err;
	return 0;

err:
	kvm_move_vcpus_undo(vcpus);
	return r;
}

static void kvm_move_vcpus_free(struct kvm_move_vcpus *vcpus)
{
	kfree(vcpus->lapic);
	kvfree(vcpus->pairs);
}

/**
 * kvm_move_vcpus_undo() - undo kvm_move_vcpus_prepare()
 * @vcpus: what that filled in
 *
 * The vendor's allocations stay: they are a vCPU's own, which it may need later
 * or frees with itself.
 *
 * Context: as for kvm_move_vcpus_prepare().
 */
void kvm_move_vcpus_undo(struct kvm_move_vcpus *vcpus)
{
	for (unsigned long i = 0; vcpus->pairs && i < vcpus->nr; i++)
		kvm_move_undo_wake_all(&vcpus->pairs[i]);
	kvm_move_vcpus_free(vcpus);
}

/*
 * What of a vCPU the processor keeps, or has been told to do, comes into memory. Returns whether
 * the LAPIC's timer was armed.
 */
static bool kvm_move_read_vcpu(struct kvm_vcpu *src)
{
	bool armed;

	vcpu_load(src);
	armed = kvm_move_stop_lapic_timer(src);
	kvm_x86_call(vcpu_move_read)(src);
	vcpu_put(src);
	return armed;
}

/*
 * What must happen before the registers change is first: page tables of the
 * destination's own making go, while it still knows which kind they are.
 */
static void kvm_move_copy_pair(const struct kvm_move_pair *pair, struct kvm_lapic_state *lapic)
{
	struct kvm_vcpu *dst = pair->dst, *src = pair->src;
	bool armed = kvm_move_read_vcpu(src);

	vcpu_load(dst);
	kvm_mmu_unload(dst);
	kvm_move_copy_vcpu(dst, src);
	kvm_move_copy_vcpu_clock(dst, src);
	kvm_x86_call(vcpu_move)(dst, src);
	kvm_init_mmu(dst);
	kvm_move_copy_rflags(dst, src);
	/* A debugger's wishes are the destination's own. */
	kvm_x86_call(update_exception_bitmap)(dst);
	kvm_update_dr7(dst);
	kvm_move_copy_lapic(dst, src, lapic, armed);
	kvm_move_copy_pv(dst, src);
	kvm_move_copy_exit(dst, src);
	vcpu_put(dst);
}

/**
 * kvm_move_vcpus_commit() - move the vCPUs, the irqchip and the clocks
 * @vcpus: what kvm_move_vcpus_prepare() filled in; freed
 * @dst: the destination
 * @src: the source, dead
 * @pit_armed: what kvm_move_memory_finish() returned
 *
 * The clocks come before the LAPICs, whose timers are set by them; the LAPICs
 * before the IOAPIC, which delivers to them what is pending.
 *
 * Context: as for kvm_move_vcpus_prepare().
 */
void kvm_move_vcpus_commit(struct kvm_move_vcpus *vcpus, struct kvm *dst, struct kvm *src,
			   bool pit_armed)
{
	kvm_move_copy_vm_clock(dst, src);
	for (unsigned long i = 0; i < vcpus->nr; i++)
		kvm_move_copy_pair(&vcpus->pairs[i], vcpus->lapic);
	kvm_move_copy_irqchip(dst, src, pit_armed);
	kvm_move_copy_coalesced(dst, src);

	kvm_move_vcpus_free(vcpus);
}
