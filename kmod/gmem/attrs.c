// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages are private to the guest.
 *
 * An inode that the host can't map, and that does not start shared, does not know:
 * in 6.12's model each VM keeps it, by gfns, and shared memory is other memory. Any
 * other inode keeps it itself, by page offsets. Where the host may map it a page
 * is private or shared in place, for every VM and for the host; else what is shared
 * is at the slot's userspace_addr. What private means for a guest depends on its
 * VM's type: one without private memory has access to all pages, as to any
 * memory; one with it has to agree.
 *
 * Code that maps a page asks under invalidate_lock (the host), or after it sampled
 * kvm->mmu_invalidate_seq (a stage-2 fault): a conversion that comes between
 * makes the fault start over.
 */
#include "access.h"
#include "attrs.h"
#include "gmem.h"

/**
 * gmem_attrs_init() - the attributes that a new inode starts with
 * @gi: the inode, which nobody else knows; its size and flags are set
 *
 * Context: Process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int gmem_attrs_init(struct gmem_inode *gi)
{
	pgoff_t last = (i_size_read(&gi->vfs_inode) >> PAGE_SHIFT) - 1;

	if (!(gi->flags & (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)))
		return 0;

	gi->attrs = gmem_ranges_alloc(KVM_MEMORY_ATTRIBUTE_PRIVATE);
	if (!gi->attrs)
		return -ENOMEM;

	if (gi->flags & GUEST_MEMFD_FLAG_INIT_SHARED)
		return 0;

	return gmem_ranges_set(gi->attrs, 0, last, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

/**
 * gmem_index_is_private() - may the host not have a page?
 * @gi: the inode
 * @index: page offset
 *
 * Context: Any. The answer lasts while invalidate_lock is held.
 * Return: true if the page is private, as all are of an inode that does not know.
 */
bool gmem_index_is_private(struct gmem_inode *gi, pgoff_t index)
{
	return !gi->attrs ||
	       gmem_ranges_get(gi->attrs, index) & KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

/**
 * gmem_range_has_attributes() - are all pages of a range private, or all shared?
 * @gi: the inode
 * @start: first page offset
 * @nr: how many
 * @attributes: KVM_MEMORY_ATTRIBUTE_PRIVATE, or 0
 *
 * Context: as gmem_index_is_private().
 * Return: true if they are; an inode that does not know is all private.
 */
bool gmem_range_has_attributes(struct gmem_inode *gi, pgoff_t start, pgoff_t nr, u64 attributes)
{
	if (!gi->attrs)
		return attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;

	return gmem_ranges_match(gi->attrs, start, start + nr - 1, ~0UL, attributes);
}

/**
 * gmem_slot_is_private() - does a memslot's inode say that a gfn is private?
 * @slot: a memslot with KVM_MEMSLOT_GMEM_ATTRS
 * @gfn: inside @slot
 *
 * The inode is not kept by the slot, nor by a reference here: whoever takes the last
 * view away clears the slot's pointer first, and view and inode are freed, with its
 * attributes, after a grace period.
 *
 * Context: Any; kvm->srcu or slots_lock is held. As gmem_index_is_private() otherwise.
 * Return: true if it is; also where the view is closed: the fault fails, and tells
 * that it was the guest's.
 */
bool gmem_slot_is_private(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	struct gmem_view *view;

	guard(rcu)();

	view = rcu_dereference(slot->gmem.view);
	return !view || gmem_index_is_private(view->inode, gmem_slot_index(slot, gfn));
}

/**
 * kvm_mem_is_private() - is a gfn private to its guest?
 * @kvm: the VM
 * @gfn: the guest frame
 *
 * Where the gfn is bound to an inode with attributes, those decide, else the
 * VM's.
 *
 * Context: Any; kvm->srcu or slots_lock is held. The answer may be out of date
 * at once: a stage-2 fault checks it again under mmu_lock.
 * Return: true if it is, and never in a VM without private memory.
 */
bool kvm_mem_is_private(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_memory_slot *slot;

	if (!kvm_arch_has_private_mem(kvm))
		return false;

	slot = gfn_to_memslot(kvm, gfn);
	if (kvm_slot_has_gmem_attrs(slot))
		return gmem_slot_is_private(slot, gfn);

	return kvm_get_memory_attributes(kvm, gfn) & KVM_MEMORY_ATTRIBUTE_PRIVATE;
}
EXPORT_SYMBOL_GPL(kvm_mem_is_private);
