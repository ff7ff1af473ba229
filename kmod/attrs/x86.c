// SPDX-License-Identifier: GPL-2.0-only
/*
 * What x86 memslots derive from a VM's attributes: which of their huge page
 * ranges are mixed, private in one part and shared in another, so that no huge
 * page may map them.
 */
#include <linux/kvm_host.h>

#include "mmu.h"
#include "vm.h"

/* A border inside a huge page range makes it mixed; at its edge, it does not. */
static void kvm_attrs_mark_border(struct kvm_memory_slot *slot, gfn_t border)
{
	for (int level = PG_LEVEL_2M; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
		gfn_t nr_pages = KVM_PAGES_PER_HPAGE(level);
		gfn_t gfn = ALIGN_DOWN(border, nr_pages);

		/* What sticks out of the slot is not mapped by a huge page anyway. */
		if (gfn != border && gfn >= slot->base_gfn &&
		    gfn + nr_pages <= slot->base_gfn + slot->npages)
			hugepage_set_mixed(slot, gfn, level);
	}
}

/**
 * kvm_mmu_init_memslot_memory_attributes() - derive a memslot's mixed huge page ranges
 * @kvm: the VM
 * @slot: its mixed ranges are not marked yet: none was, or it is new
 *
 * Takes time by the borders of attribute ranges inside the slot, not by its
 * size.
 *
 * Context: slots_lock is held; so is mmu_lock, unless nobody can find the slot.
 */
void kvm_mmu_init_memslot_memory_attributes(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct gmem_ranges *ranges = kvm_attrs_locked(kvm);
	unsigned long first, last;
	gfn_t end = slot->base_gfn + slot->npages;

	if (!ranges || kvm_slot_is_gmem_only(slot))
		return;

	gmem_ranges_get_range(ranges, slot->base_gfn, &first, &last);
	while (last < end - 1) {
		/* Parts of one gap count as a border too much: ask for values. */
		if (gmem_ranges_get(ranges, last) != gmem_ranges_get(ranges, last + 1))
			kvm_attrs_mark_border(slot, last + 1);
		gmem_ranges_get_range(ranges, last + 1, &first, &last);
	}
}
