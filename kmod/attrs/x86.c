// SPDX-License-Identifier: GPL-2.0-only
/*
 * What x86 memslots derive from a VM's attributes: which of their huge page
 * ranges are mixed, private in one part and shared in another, so that no huge
 * page may map them. KVM keeps a flag for each in the slot.
 *
 * All of it goes by the pieces of the attributes' map, never by pages, and takes
 * a break of mmu_lock between two pieces where that is wanted.
 */
#include <linux/kvm_host.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "vm.h"

/* Does the slot have all of a huge page range? No huge page maps others. */
static bool kvm_attrs_slot_has(const struct kvm_memory_slot *slot, gfn_t gfn, int level)
{
	return gfn >= slot->base_gfn &&
	       gfn + KVM_PAGES_PER_HPAGE(level) <= slot->base_gfn + slot->npages;
}

/**
 * kvm_attrs_rest_mmu_lock() - let others have mmu_lock, or the CPU, where they want it
 * @kvm: the VM
 *
 * cond_resched_rwlock_write() does not ask whether a task waits for the lock where the kernel is
 * not preemptible, as Debian's is not.
 *
 * Context: mmu_lock is held for writing, and may be let go meanwhile.
 */
void kvm_attrs_rest_mmu_lock(struct kvm *kvm)
{
	lockdep_assert_held_write(&kvm->mmu_lock);

	if (!need_resched() && !rwlock_is_contended(&kvm->mmu_lock))
		return;

	/* A task that waits is in the lock's queue, and so comes before this one. */
	write_unlock(&kvm->mmu_lock);
	cond_resched();
	write_lock(&kvm->mmu_lock);
}

static void kvm_attrs_rest(struct kvm *kvm, bool mmu_locked)
{
	if (mmu_locked)
		kvm_attrs_rest_mmu_lock(kvm);
	else
		cond_resched();
}

static void kvm_attrs_mark(struct kvm_memory_slot *slot, gfn_t border, int level)
{
	gfn_t gfn = gfn_round_for_level(border, level);

	if (kvm_attrs_slot_has(slot, gfn, level))
		hugepage_set_mixed(slot, gfn, level);
}

/*
 * Pieces are made of whole ranges of 2 MiB, unless they are mixed: so a border
 * between two lies inside a larger range, or at its edge.
 */
static void kvm_attrs_mark_slot(struct kvm *kvm, struct kvm_memory_slot *slot, bool mmu_locked)
{
	struct gmem_ranges *ranges = kvm_attrs_locked(kvm);
	struct gmem_ranges_walk walk;
	unsigned long before = 0;
	bool first = true;

	BUILD_BUG_ON(KVM_PAGES_PER_HPAGE(PG_LEVEL_2M) != GMEM_BLOCK_SIZE);

	if (!ranges || kvm_slot_is_gmem_only(slot))
		return;

	gmem_ranges_walk_begin(&walk, ranges, slot->base_gfn, slot->base_gfn + slot->npages - 1);
	while (gmem_ranges_walk_next(&walk)) {
		if (walk.mixed)
			kvm_attrs_mark(slot, walk.first, PG_LEVEL_2M);
		if (walk.mixed || (!first && before != walk.value &&
				   walk.first != gfn_round_for_level(walk.first, PG_LEVEL_1G)))
			kvm_attrs_mark(slot, walk.first, PG_LEVEL_1G);
		before = walk.value;
		first = false;
		kvm_attrs_rest(kvm, mmu_locked);
	}
}

/**
 * kvm_mmu_init_memslot_memory_attributes() - derive a new memslot's mixed huge page ranges
 * @kvm: the VM
 * @slot: the memslot; none of its ranges is marked
 *
 * Context: slots_lock is held; nobody else can find the slot.
 */
void kvm_mmu_init_memslot_memory_attributes(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	kvm_attrs_mark_slot(kvm, slot, false);
}

/**
 * kvm_attrs_moved() - the same for a memslot to whose VM attributes were moved
 * @kvm: the VM, which had no attributes
 * @slot: the memslot
 *
 * Context: slots_lock is held, and mmu_lock for writing, which is let go of now
 * and then: an invalidation of the slot is in progress.
 */
void kvm_attrs_moved(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	lockdep_assert_held_write(&kvm->mmu_lock);

	kvm_attrs_mark_slot(kvm, slot, true);
}

/**
 * kvm_attrs_clear_mixed() - what a range covers as a whole will not be mixed
 * @kvm: the VM
 * @range: the range, part of one memslot, whose attributes are about to be set
 *
 * Context: slots_lock is held, and mmu_lock for writing, which is let go of now
 * and then: an invalidation of the range is in progress.
 * Return: false: there is nothing to flush.
 */
bool kvm_attrs_clear_mixed(struct kvm *kvm, struct kvm_gfn_range *range)
{
	struct gmem_ranges *ranges = kvm_attrs_locked(kvm);
	struct gmem_ranges_walk walk;

	lockdep_assert_held_write(&kvm->mmu_lock);

	gmem_ranges_walk_begin(&walk, ranges, range->start, range->end - 1);
	while (gmem_ranges_walk_next(&walk)) {
		gfn_t large = gfn_round_for_level(walk.first, PG_LEVEL_1G);

		if (walk.mixed && walk.last - walk.first == GMEM_BLOCK_SIZE - 1)
			hugepage_clear_mixed(range->slot, walk.first, PG_LEVEL_2M);
		/* Where such a range has a border, there a piece begins. */
		if (large >= range->start &&
		    large + KVM_PAGES_PER_HPAGE(PG_LEVEL_1G) <= range->end)
			hugepage_clear_mixed(range->slot, large, PG_LEVEL_1G);
		kvm_attrs_rest(kvm, true);
	}
	return false;
}

/* A huge page range of which part was set, if the slot has all of it. */
static void kvm_attrs_update(struct kvm *kvm, struct kvm_gfn_range *range, gfn_t gfn, int level)
{
	gfn_t end = gfn + KVM_PAGES_PER_HPAGE(level);

	if ((gfn >= range->start && end <= range->end) ||
	    !kvm_attrs_slot_has(range->slot, gfn, level))
		return;

	if (kvm_range_has_memory_attributes(kvm, gfn, end, ~0UL, range->arg.attributes))
		hugepage_clear_mixed(range->slot, gfn, level);
	else
		hugepage_set_mixed(range->slot, gfn, level);
}

/**
 * kvm_arch_post_set_memory_attributes() - attributes were set
 * @kvm: the VM
 * @range: the range, part of one memslot
 *
 * What the range covers as a whole is not mixed, as kvm_attrs_clear_mixed() said;
 * what is at its ends may have become so, or not be so any more.
 *
 * Context: slots_lock is held, and mmu_lock for writing; an invalidation of these
 * huge page ranges is in progress.
 * Return: false: there is nothing to flush.
 */
bool kvm_arch_post_set_memory_attributes(struct kvm *kvm, struct kvm_gfn_range *range)
{
	lockdep_assert_held_write(&kvm->mmu_lock);

	for (int level = PG_LEVEL_2M; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
		gfn_t head = gfn_round_for_level(range->start, level);
		gfn_t tail = gfn_round_for_level(range->end - 1, level);

		kvm_attrs_update(kvm, range, head, level);
		if (tail != head)
			kvm_attrs_update(kvm, range, tail, level);
	}
	return false;
}
