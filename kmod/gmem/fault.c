// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stage-2 faults: the page behind a gfn.
 *
 * Runs inside kvm->srcu, with no lock. What it returns may be stale by then:
 * the caller installs it under mmu_lock only if no invalidation came between,
 * as invalidate.c says.
 */
#include <linux/file.h>

#include "chunk.h"
#include "folio.h"
#include "gmem.h"
#include "pager/owed.h"
#include "trace.h"

/**
 * gmem_fault_folio() - the folio behind a gfn, found or allocated
 * @file: the view's file, of which the caller holds a reference
 * @slot: the memslot
 * @gfn: inside @slot
 *
 * Context: Process context, may sleep; kvm->srcu or slots_lock is held.
 * Return: the folio, locked and with a reference, or an ERR_PTR: -EFAULT where
 * the slot has lost its view, -ENOMEM, -EHWPOISON.
 */
struct folio *gmem_fault_folio(struct file *file, struct kvm_memory_slot *slot, gfn_t gfn)
{
	struct gmem_view *view = file->private_data;

	/*
	 * A slot keeps one view until it has none. While that is released no
	 * reference to its file can be had, so the reference the caller has is
	 * to the view that is still there.
	 */
	if (WARN_ON_ONCE(view != rcu_access_pointer(slot->gmem.view)))
		return ERR_PTR(-EFAULT);

	return gmem_folio_grab(view->inode, gmem_slot_index(slot, gfn), true);
}

/*
 * Make a folio the guest's: tell the vendor, mark it. The folio is all zeroes,
 * so the guest gets nothing of what the page held before.
 */
static int gmem_prepare_folio(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			      struct folio *folio)
{
#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_PREPARE
	gfn_t first = gfn - (gmem_slot_index(slot, gfn) - folio->index);
	int r;
#endif

	gmem_folio_make_zero(folio);

#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_PREPARE
	r = kvm_arch_gmem_prepare(kvm, first, folio_pfn(folio), folio_order(folio));
	if (r) {
		pr_warn_ratelimited("gmem: can't prepare gfn %llx pfn %lx order %u: %d\n",
				    first, folio_pfn(folio), folio_order(folio), r);
		return r;
	}
#endif
	folio_mark_uptodate(folio);
	return 0;
}

/* Up to which order the folio may be mapped: KVM asks that gfn and pfn be aligned alike. */
static int gmem_fault_order(struct gmem_inode *gi, struct folio *folio, gfn_t gfn, pgoff_t index)
{
	if (!folio_test_large(folio))
		return gmem_chunk_order(gi, index, gfn);
	if (!IS_ALIGNED(gfn - index, folio_nr_pages(folio)) || folio_test_has_hwpoisoned(folio))
		return 0;
	return folio_order(folio);
}

/**
 * kvm_gmem_get_pfn() - the page behind a private gfn
 * @kvm: the VM
 * @slot: a memslot with KVM_MEM_GUEST_MEMFD
 * @gfn: inside @slot
 * @pfn: where the page frame number goes
 * @max_order: where the largest order goes that may be mapped; may be NULL
 *
 * A missing page is allocated, zeroed and prepared first.
 *
 * Context: Process context, may sleep; kvm->srcu is held for reading.
 * Return: 0 with a reference to the page, or -errno: -EFAULT where the view
 * was closed, -EHWPOISON, -ENOMEM, or what the vendor's prepare says.
 */
int kvm_gmem_get_pfn(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
		     kvm_pfn_t *pfn, int *max_order)
{
	pgoff_t index = gmem_slot_index(slot, gfn);
	struct file *file = gmem_slot_get_file(slot);
	struct gmem_inode *gi;
	struct folio *folio;
	bool missing;
	int r = 0;

	if (!file)
		return -EFAULT;

	gi = GMEM_I(file_inode(file));
	gmem_chunk_touch_unlocked(gi, index);
	folio = gmem_fault_folio(file, slot, gfn);
	if (IS_ERR(folio)) {
		r = PTR_ERR(folio);
		goto out;
	}

	missing = !gmem_folio_has_content(folio);
	if (missing)
		r = gmem_prepare_folio(kvm, slot, gfn, folio);

	folio_unlock(folio);
	if (missing && !r)
		gmem_pager_touched(gi, index);
	if (r) {
		folio_put(folio);
		goto out;
	}

	*pfn = gmem_folio_pfn(folio, index);
	if (max_order)
		*max_order = gmem_fault_order(gi, folio, gfn, index);
	trace_gmem_fault(file->private_data, index, gfn, *pfn);
out:
	fput(file);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_gmem_get_pfn);
