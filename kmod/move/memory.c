// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's memory context: its attributes, and what memslots derive from them.
 */
#include <linux/kvm_host.h>
#include <linux/wait_bit.h>

#include "../attrs/vm.h"
#include "../gmem/access.h"
#include "../gmem/gmem.h"
#include "../kvm_mm.h"
#include "move.h"
#include "tables.h"

/* The next slot that userspace made, from @iter on; NULL at the end. */
static struct kvm_memory_slot *kvm_move_user_slot(struct kvm_memslot_iter *iter)
{
	while (kvm_memslot_iter_is_valid(iter, ~0ULL)) {
		if (iter->slot->id < KVM_USER_MEM_SLOTS)
			return iter->slot;
		kvm_memslot_iter_next(iter);
	}
	return NULL;
}

/* slots_lock keeps the views. A slot whose view is closed has no inode to compare. */
static bool kvm_move_same_gmem(const struct kvm_memory_slot *dst,
			       const struct kvm_memory_slot *src)
{
	struct gmem_view *d = gmem_slot_view_locked(dst), *s = gmem_slot_view_locked(src);

	if (!kvm_slot_can_be_private(src))
		return true;

	return d && s && gmem_view_is_open(d) && gmem_view_is_open(s) &&
	       d->inode == s->inode && dst->gmem.pgoff == src->gmem.pgoff;
}

static bool kvm_move_same_slot(const struct kvm_memory_slot *dst,
			       const struct kvm_memory_slot *src)
{
	return dst->base_gfn == src->base_gfn && dst->npages == src->npages &&
	       dst->flags == src->flags && kvm_move_same_gmem(dst, src);
}

static bool kvm_move_same_slots(struct kvm *dst, struct kvm *src, int as_id)
{
	struct kvm_memslot_iter d, s;
	struct kvm_memory_slot *dst_slot, *src_slot;

	kvm_memslot_iter_start(&d, __kvm_memslots(dst, as_id), 0);
	kvm_memslot_iter_start(&s, __kvm_memslots(src, as_id), 0);

	for (;;) {
		dst_slot = kvm_move_user_slot(&d);
		src_slot = kvm_move_user_slot(&s);
		if (!dst_slot || !src_slot)
			return dst_slot == src_slot;
		if (!kvm_move_same_slot(dst_slot, src_slot))
			return false;
		kvm_memslot_iter_next(&d);
		kvm_memslot_iter_next(&s);
	}
}

static bool kvm_move_has_attributes(struct kvm *kvm)
{
	struct gmem_ranges *ranges = kvm_attrs_locked(kvm);

	return ranges && !gmem_ranges_empty(ranges);
}

/**
 * kvm_move_has_gmem() - does a VM have memslots on guest memory inodes?
 * @kvm: the VM
 *
 * Context: slots_lock is held.
 * Return: true if it has one, which may have lost its view.
 */
bool kvm_move_has_gmem(struct kvm *kvm)
{
	struct kvm_memory_slot *slot;
	int bkt;

	for (int i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot(slot, bkt, __kvm_memslots(kvm, i)) {
			if (kvm_slot_can_be_private(slot))
				return true;
		}
	}
	return false;
}

static int kvm_move_memory_check(struct kvm *dst, struct kvm *src)
{
	if (dst->vm_dead || src->vm_dead)
		return -EIO;

	/* One that was moved to has a guest, though it may not have run it yet. */
	if (dst->moved_to || kvm_move_has_attributes(dst))
		return -EINVAL;

	/* Without any of it, nothing refers to memslots: as SEV always did. */
	if (!kvm_move_has_attributes(src) && !kvm_move_has_gmem(src) &&
	    !kvm_move_has_gmem(dst))
		return 0;

	for (int i = 0; i < kvm_arch_nr_memslot_as_ids(src); i++) {
		if (!kvm_move_same_slots(dst, src, i))
			return -EINVAL;
	}
	return 0;
}

static void kvm_move_unlock_memory(struct kvm *kvm)
{
	up_write(&kvm->populate_lock);
	mutex_unlock(&kvm->slots_lock);
}

/**
 * kvm_move_memory_prepare() - get ready to move the memory context
 * @dst: the destination
 * @src: the source, of the same type
 *
 * Context: kvm->lock and all vcpu->mutex of both are held. On success returns
 * with slots_lock and populate_lock of both, for kvm_move_memory_finish() to let
 * go, and with ioctls that raise interrupts in @src held up, for
 * kvm_move_release_irqs().
 * Return: 0, or -errno with nothing changed: -EINVAL where @dst was moved to
 * before, has attributes, or memslots do not match, -EIO for a dead VM, -EBUSY where
 * memslots stay locked, a task populates, or an interrupt is being raised for long, -EINTR.
 */
int kvm_move_memory_prepare(struct kvm *dst, struct kvm *src)
{
	int r;

	lockdep_assert_held(&dst->lock);
	lockdep_assert_held(&src->lock);

	r = kvm_move_lock_memory(dst);
	if (r)
		return r;

	r = kvm_move_lock_memory(src);
	if (r)
		goto err_dst;

	r = kvm_move_memory_check(dst, src);
	if (r)
		goto err_src;

	r = kvm_move_hold_irqs(src);
	if (r)
		goto err_src;
	return 0;

err_src:
	kvm_move_unlock_memory(src);
err_dst:
	kvm_move_unlock_memory(dst);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_move_memory_prepare);

/*
 * The destination's stage-2 tables may hold what KVM_PRE_FAULT_MEMORY put
 * there, by attributes that are about to change.
 */
static bool kvm_move_unmap_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct kvm_gfn_range range = {
		.slot = slot,
		.start = slot->base_gfn,
		.end = slot->base_gfn + slot->npages,
		.may_block = true,
		.attr_filter = KVM_FILTER_PRIVATE | KVM_FILTER_SHARED,
	};

	return kvm_unmap_gfn_range(kvm, &range);
}

static void kvm_move_set_attributes(struct kvm *dst, struct gmem_ranges *ranges)
{
	struct kvm_memory_slot *slot;
	bool flush = false;
	int bkt;

	KVM_MMU_LOCK(dst);
	kvm_mmu_invalidate_begin(dst);
	kvm_mmu_invalidate_range_add(dst, 0, ~0ULL);
	for (int i = 0; i < kvm_arch_nr_memslot_as_ids(dst); i++) {
		kvm_for_each_memslot(slot, bkt, __kvm_memslots(dst, i))
			flush |= kvm_move_unmap_slot(dst, slot);
	}
	if (flush)
		kvm_flush_remote_tlbs(dst);

	rcu_assign_pointer(dst->mem_attrs, ranges);

	for (int i = 0; i < kvm_arch_nr_memslot_as_ids(dst); i++) {
		kvm_for_each_memslot(slot, bkt, __kvm_memslots(dst, i))
			kvm_attrs_moved(dst, slot);
	}
	kvm_mmu_invalidate_end(dst);
	KVM_MMU_UNLOCK(dst);
}

/**
 * kvm_move_memory_commit() - move the memory context; the source is dead
 * @dst: the destination
 * @src: the source
 *
 * The source dies first, and is told to have been moved from then on. Its
 * vCPUs can't be in the guest, since their mutexes are held, and never will be
 * again, before the destination's may go there. Then the destination takes its
 * stage-2 tables, or they stay until its end: see tables.c.
 *
 * Context: between kvm_move_memory_prepare() and kvm_move_memory_finish().
 */
void kvm_move_memory_commit(struct kvm *dst, struct kvm *src)
{
	struct gmem_ranges *ranges = kvm_attrs_locked(src);
	struct kvm_move_tables tables;

	WRITE_ONCE(dst->moved_to, true);
	WRITE_ONCE(src->moved_from, true);
	smp_wmb(); /* pairs with kvm_move_state_of(): dead, hence moved */
	kvm_vm_dead(src);
	kvm_gmem_cache_drop(src);
	kvm_move_tables_prepare(&tables, dst, src);

	if (ranges) {
		/* The destination's own map, if it has one, is empty. */
		rcu_assign_pointer(src->mem_attrs, kvm_attrs_locked(dst));
		kvm_move_set_attributes(dst, ranges);
	}

	kvm_move_tables_commit(&tables, dst, src);
}
EXPORT_SYMBOL_GPL(kvm_move_memory_commit);

static void kvm_move_evtchns(struct kvm *dst, struct kvm *src)
{
	struct kvm_vcpu *s, *d;
	unsigned long i;

	kvm_for_each_vcpu(i, s, src) {
		d = kvm_get_vcpu_by_id(dst, s->vcpu_id);
		if (d)
			kvm_gmem_move_evtchns(d, s);
	}
}

/**
 * kvm_move_memory_finish() - undo the locking of kvm_move_memory_prepare()
 * @dst: the destination
 * @src: the source, dead
 *
 * An irqfd of the source takes no count from its eventfd any more: what was signalled is
 * for the destination's VMM. An event that was left to a vCPU goes to the destination's of
 * the same vcpu_id, if there is one.
 *
 * Context: after kvm_move_memory_commit(), with kvm->lock and all vcpu->mutex of both;
 * ioctls that raise interrupts stay held up.
 * Return: what kvm_move_silence() does.
 */
bool kvm_move_memory_finish(struct kvm *dst, struct kvm *src)
{
	bool pit_armed;

	kvm_move_unlock_memory(src);
	kvm_move_unlock_memory(dst);
	kvm_move_end_irqfds(src);
	/* Before events are taken along: the PIT's thread, too, leaves some to a vCPU. */
	pit_armed = kvm_move_silence(src);
	kvm_move_evtchns(dst, src);
	return pit_armed;
}
EXPORT_SYMBOL_GPL(kvm_move_memory_finish);
