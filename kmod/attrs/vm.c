// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_MEMORY_ATTRIBUTES and those who ask for what it set.
 *
 * Same ABI as Linux 6.12, whose array has an entry a page: here a range costs
 * the same whatever its size. A VM's map is one pointer, so that a move hands
 * it over whole; readers therefore find it under RCU. A VM that never had a
 * private page has none.
 */
#include <linux/kvm_host.h>

#include "../gmem/access.h"
#include "../kvm_mm.h"
#include "vm.h"

/**
 * kvm_attrs_destroy_vm() - take a VM's map away
 * @kvm: the VM
 *
 * Freed after a grace period: before it was moved here, readers of the VM it
 * came from may have found it.
 *
 * Context: VM destruction.
 */
void kvm_attrs_destroy_vm(struct kvm *kvm)
{
	gmem_ranges_free(rcu_dereference_protected(kvm->mem_attrs, true));
}

/**
 * kvm_supported_mem_attributes() - the attributes a VM knows
 * @kvm: the VM, or NULL: those that some VM knows
 *
 * Context: Any.
 * Return: a mask of KVM_MEMORY_ATTRIBUTE_*.
 */
u64 kvm_supported_mem_attributes(struct kvm *kvm)
{
	if (!kvm || kvm_arch_has_private_mem(kvm))
		return KVM_MEMORY_ATTRIBUTE_PRIVATE;

	return 0;
}

/**
 * kvm_get_memory_attributes() - a gfn's attributes
 * @kvm: the VM
 * @gfn: the guest frame
 *
 * Context: Any. Unless slots_lock is held the answer may be out of date at
 * once: a stage-2 fault checks it again under mmu_lock.
 * Return: a mask of KVM_MEMORY_ATTRIBUTE_*.
 */
unsigned long kvm_get_memory_attributes(struct kvm *kvm, gfn_t gfn)
{
	struct gmem_ranges *ranges;

	guard(rcu)();

	ranges = rcu_dereference(kvm->mem_attrs);
	return ranges ? gmem_ranges_get(ranges, gfn) : 0;
}
EXPORT_SYMBOL_GPL(kvm_get_memory_attributes);

/**
 * kvm_range_has_memory_attributes() - do all gfns of a range have attributes?
 * @kvm: the VM
 * @start: the first
 * @end: the one after the last
 * @mask: the attributes that count
 * @attrs: what they are to be
 *
 * Context: as kvm_get_memory_attributes().
 * Return: true if they have; false also for attributes that @kvm does not know.
 */
bool kvm_range_has_memory_attributes(struct kvm *kvm, gfn_t start, gfn_t end,
				     unsigned long mask, unsigned long attrs)
{
	struct gmem_ranges *ranges;

	mask &= kvm_supported_mem_attributes(kvm);
	if (attrs & ~mask)
		return false;

	guard(rcu)();

	ranges = rcu_dereference(kvm->mem_attrs);
	if (!ranges)
		return !attrs;
	return gmem_ranges_match(ranges, start, end - 1, mask, attrs);
}

typedef bool (*kvm_attrs_slot_fn)(struct kvm *kvm, struct kvm_gfn_range *range);

/* Calls @fn for the part of each memslot that is in [@start, @end). */
static bool kvm_attrs_walk_slots(struct kvm *kvm, gfn_t start, gfn_t end, u64 attributes,
				 kvm_attrs_slot_fn fn)
{
	struct kvm_memslot_iter iter;
	bool ret = false;

	lockdep_assert_held_write(&kvm->mmu_lock);

	for (int i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		struct kvm_memslots *slots = __kvm_memslots(kvm, i);

		kvm_for_each_memslot_in_gfn_range(&iter, slots, start, end) {
			struct kvm_memory_slot *slot = iter.slot;
			struct kvm_gfn_range range = {
				.slot = slot,
				.start = max(start, slot->base_gfn),
				.end = min(end, slot->base_gfn + slot->npages),
				.arg.attributes = attributes,
				.may_block = true,
			};

			/* What a slot's inode says is not the VM's to set. */
			if (range.start < range.end && !kvm_slot_is_gmem_only(slot))
				ret |= fn(kvm, &range);
		}
	}
	return ret;
}

/*
 * Between begin and end no fault in the range installs what it found by the
 * old attributes, or by marks of mixed huge pages that are being changed: it sees
 * the invalidation, under mmu_lock, and starts over.
 */
static void kvm_attrs_commit(struct kvm *kvm, gfn_t start, gfn_t end, u64 attributes,
			     struct gmem_ranges_change *change)
{
	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_begin(kvm);
	/* The whole of it, whether or not anything is mapped or has a memslot. */
	kvm_mmu_invalidate_range_add(kvm, start, end);
	if (kvm_attrs_walk_slots(kvm, start, end, attributes,
				 kvm_arch_pre_set_memory_attributes))
		kvm_flush_remote_tlbs(kvm);
	/* What KVM itself keeps of pages is of the other kind from here on. */
	kvm_gmem_cache_invalidate(kvm, start, end);
	if (end - start >= GMEM_BLOCK_SIZE)
		kvm_attrs_walk_slots(kvm, start, end, attributes, kvm_attrs_clear_mixed);
	KVM_MMU_UNLOCK(kvm);

	gmem_ranges_commit(change);

	KVM_MMU_LOCK(kvm);
	kvm_attrs_walk_slots(kvm, start, end, attributes,
			     kvm_arch_post_set_memory_attributes);
	kvm_mmu_invalidate_end(kvm);
	KVM_MMU_UNLOCK(kvm);

	/* A waiter for a page that has become shared needs the other memory. */
	kvm_gmem_wake_gfns(kvm, start, end);
	gmem_ranges_finish(change);
}

/* The VM's map, made now where it has none. */
static struct gmem_ranges *kvm_attrs_get_map(struct kvm *kvm)
{
	struct gmem_ranges *ranges = kvm_attrs_locked(kvm);

	if (!ranges) {
		ranges = gmem_ranges_alloc(KVM_MEMORY_ATTRIBUTE_PRIVATE);
		rcu_assign_pointer(kvm->mem_attrs, ranges);
	}
	return ranges;
}

/* Is there a memslot in the range whose inode knows what is private? */
static bool kvm_attrs_are_an_inode_s(struct kvm *kvm, gfn_t start, gfn_t end)
{
	struct kvm_memslot_iter iter;

	for (int i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot_in_gfn_range(&iter, __kvm_memslots(kvm, i), start, end) {
			if (kvm_slot_has_gmem_attrs(iter.slot))
				return true;
		}
	}
	return false;
}

static int kvm_attrs_set_locked(struct kvm *kvm, gfn_t start, gfn_t end, u64 attributes)
{
	struct gmem_ranges_change change;
	struct gmem_ranges *ranges;
	int r;

	/* The VM may have died while this waited for the lock. */
	if (kvm->vm_dead)
		return -EIO;

	if (kvm_attrs_are_an_inode_s(kvm, start, end))
		return -EINVAL;

	if (kvm_range_has_memory_attributes(kvm, start, end, ~0UL, attributes))
		return 0;

	ranges = kvm_attrs_get_map(kvm);
	if (!ranges)
		return -ENOMEM;

	r = gmem_ranges_prepare(&change, ranges, start, end - 1, attributes);
	if (r)
		return r;

	kvm_attrs_commit(kvm, start, end, attributes, &change);
	return 0;
}

static int kvm_attrs_set(struct kvm *kvm, gfn_t start, gfn_t end, u64 attributes)
{
	int r = -EINTR;

	if (mutex_lock_killable(&kvm->slots_lock))
		return r;

	/* A task that has found a gfn private puts its page in first. */
	if (!down_write_killable(&kvm->populate_lock)) {
		r = kvm_attrs_set_locked(kvm, start, end, attributes);
		up_write(&kvm->populate_lock);
	}
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/**
 * kvm_vm_ioctl_set_mem_attributes() - KVM_SET_MEMORY_ATTRIBUTES
 * @kvm: the VM
 * @attrs: the ioctl's argument
 *
 * Context: VM ioctl, no lock held. Takes slots_lock, populate_lock and mmu_lock.
 * Return: 0; -EINVAL for flags, attributes that @kvm does not know, a range
 * that is empty, not page-aligned or wraps, or has a memslot whose inode keeps
 * attributes of its own; -ENOMEM with nothing changed; -EINTR by a fatal signal; -EIO
 * for a dead VM.
 */
int kvm_vm_ioctl_set_mem_attributes(struct kvm *kvm, struct kvm_memory_attributes *attrs)
{
	if (attrs->flags)
		return -EINVAL;
	if (attrs->attributes & ~kvm_supported_mem_attributes(kvm))
		return -EINVAL;
	if (attrs->size == 0 || attrs->address + attrs->size < attrs->address)
		return -EINVAL;
	if (!PAGE_ALIGNED(attrs->address) || !PAGE_ALIGNED(attrs->size))
		return -EINVAL;

	return kvm_attrs_set(kvm, attrs->address >> PAGE_SHIFT,
			     (attrs->address + attrs->size) >> PAGE_SHIFT, attrs->attributes);
}
