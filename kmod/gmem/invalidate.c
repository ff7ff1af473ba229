// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalidation: taking a range of pages out of every VM's stage-2 tables.
 *
 * Begin, then change the pages, then end. In each VM with a binding in the
 * range, begin raises kvm->mmu_invalidate_in_progress and zaps; end lowers it
 * and raises kvm->mmu_invalidate_seq, all under that VM's mmu_lock. A stage-2
 * fault samples the sequence before it asks for its page and, under mmu_lock,
 * installs the page only if no invalidation of that gfn is in progress and the
 * sequence is the same. So, whichever VM a fault in flight belongs to,
 *
 *   - it sampled before begin: it sees the count or the new sequence, and
 *     starts over; what it had installed before begin, begin has zapped;
 *   - it sampled between begin and end: it sees the count, or the sequence
 *     that end raised;
 *   - it sampled after end: the change is done, and it gets the new page.
 *
 * That holds only if end visits the very VMs that begin visited. The caller
 * keeps one lock over both that keeps views and bindings still: see gmem.h.
 */
#include "access.h"
#include "arch.h"
#include "chunk.h"
#include "gmem.h"
#include "invalidate.h"
#include "trace.h"

/*
 * What KVM keeps of a slot's mappings (rmaps, in a VM that has shadow page tables) is the affair
 * of the slot that the VM's memslots have under its id: where that is being deleted, a copy that is
 * marked invalid. The first shadow page table of the VM may come then, and the copy alone gets
 * rmaps. A bound slot that the memslots do not have, yet or any more, maps nothing.
 */
static bool gmem_unmap_slot(struct kvm *kvm, struct kvm_gfn_range *range)
{
	struct kvm_memory_slot *bound = range->slot;
	int idx = srcu_read_lock(&kvm->srcu);
	bool flush = false;

	range->slot = id_to_memslot(__kvm_memslots(kvm, bound->as_id), bound->id);
	if (range->slot)
		flush = kvm_mmu_unmap_gfn_range(kvm, range);
	else
		/* Faults in flight are to see the range either way. */
		kvm_mmu_invalidate_range_add(kvm, range->start, range->end);
	srcu_read_unlock(&kvm->srcu, idx);
	return flush;
}

static void gmem_view_zap(struct gmem_view *view, pgoff_t start, pgoff_t end)
{
	struct gmem_binding *b = gmem_binding_first(view, start, end - 1);
	struct kvm *kvm = view->kvm;
	gfn_t gfn_start = ~0ULL, gfn_end = 0;
	bool flush = false;

	gmem_assert_views_stable(view->inode);

	if (!b)
		return;

	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_begin(kvm);

	for (; b; b = gmem_binding_next(b, start, end - 1)) {
		struct kvm_memory_slot *slot = b->slot;
		pgoff_t first = max(b->node.start, start);
		pgoff_t last = min(b->node.last, end - 1);
		struct kvm_gfn_range range = {
			.start = slot->base_gfn + first - b->node.start,
			.end = slot->base_gfn + last - b->node.start + 1,
			.slot = slot,
			.may_block = true,
			/* A page may be private or shared, and be going either way. */
			.attr_filter = KVM_FILTER_PRIVATE | KVM_FILTER_SHARED,
		};

		flush |= gmem_unmap_slot(kvm, &range);
		gfn_start = min(gfn_start, range.start);
		gfn_end = max(gfn_end, range.end);
		trace_gmem_invalidate(view, range.start, range.end);
	}

	/* Once for all bindings: caches between two of them are refreshed needlessly. */
	kvm_gmem_cache_invalidate(kvm, gfn_start, gfn_end);
	if (flush)
		kvm_flush_remote_tlbs(kvm);
	KVM_MMU_UNLOCK(kvm);
}

/*
 * A cache may write a dirty line of an encrypted guest's page back at any time,
 * with that guest's key, and so overwrite what the page's next owner has put
 * there. Flush the caches once no VM can reach the pages any more, before they
 * are freed. Do so even if nothing was zapped: KVM may have zapped these pages
 * before, for reasons of its own, without a flush.
 *
 * To KVM all memory of such a guest is shared: it has pages of an inode only where
 * shared memory comes from the inode.
 */
static bool gmem_view_needs_flush(struct gmem_view *view, pgoff_t start, pgoff_t end)
{
	return view->inode->flags & GUEST_MEMFD_FLAG_MMAP &&
	       gmem_binding_first(view, start, end - 1) && gmem_arch_needs_flush(view->kvm);
}

/* Not under mmu_lock: the flush stops all CPUs for a while. */
static void gmem_view_flush(struct gmem_view *view, pgoff_t start, pgoff_t end)
{
	if (gmem_view_needs_flush(view, start, end))
		kvm_arch_guest_memory_reclaimed(view->kvm);
}

/* The view of one VM that needs a flush, or NULL. */
static struct gmem_view *gmem_find_unflushed(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	struct gmem_view *view;

	gmem_assert_views_stable(gi);

	list_for_each_entry(view, &gi->views, entry) {
		if (gmem_view_needs_flush(view, start, end))
			return view;
	}
	return NULL;
}

/**
 * gmem_needs_flush() - have pages to be flushed from caches before they are freed?
 * @gi: the inode
 * @start: first page offset
 * @end: page offset after the last
 *
 * Context: invalidate_lock for writing or views_lock is held.
 * Return: whether an encrypted guest may have left dirty lines of them.
 */
bool gmem_needs_flush(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	return gmem_find_unflushed(gi, start, end);
}

/**
 * gmem_flush() - flush pages from caches, if they need it
 * @gi: the inode
 * @start: first page offset
 * @end: page offset after the last
 *
 * All VMs' pages were zapped since, or before: until then a guest could write. One flush
 * is for all VMs, as it is one of all lines of all CPUs. A VM that has unbound the pages
 * since they were zapped, or closed its view, has flushed then.
 *
 * Context: Process context, may sleep; invalidate_lock for writing or views_lock is held.
 */
void gmem_flush(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	struct gmem_view *view = gmem_find_unflushed(gi, start, end);

	if (view)
		kvm_arch_guest_memory_reclaimed(view->kvm);
}

/**
 * gmem_view_invalidate_begin() - begin an invalidation in one VM
 * @view: the VM's view
 * @start: first page offset
 * @end: page offset after the last
 *
 * Where the view has no binding in the range, the VM is not disturbed.
 *
 * Context: Process context, may sleep. invalidate_lock for writing or
 * views_lock is held from before this call until after the matching
 * gmem_view_invalidate_end(). Takes kvm->mmu_lock.
 */
void gmem_view_invalidate_begin(struct gmem_view *view, pgoff_t start, pgoff_t end)
{
	gmem_view_zap(view, start, end);
	gmem_view_flush(view, start, end);
}

/**
 * gmem_view_invalidate_end() - end an invalidation in one VM
 * @view: the VM's view
 * @start: as in the matching gmem_view_invalidate_begin()
 * @end: likewise
 *
 * Context: as gmem_view_invalidate_begin().
 */
void gmem_view_invalidate_end(struct gmem_view *view, pgoff_t start, pgoff_t end)
{
	struct kvm *kvm = view->kvm;

	gmem_assert_views_stable(view->inode);

	if (!gmem_binding_first(view, start, end - 1))
		return;

	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_end(kvm);
	KVM_MMU_UNLOCK(kvm);
}

/**
 * gmem_invalidate_zap() - begin an invalidation in every VM, and leave the flush
 * @gi: the inode
 * @start: first page offset
 * @end: page offset after the last
 *
 * For who takes many pages away, part by part: see gmem_flush(), which has to come before
 * any of them is freed.
 *
 * Context: as gmem_view_invalidate_begin(). One mmu_lock at a time.
 */
void gmem_invalidate_zap(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	struct gmem_view *view;

	gmem_assert_views_stable(gi);

	list_for_each_entry(view, &gi->views, entry)
		gmem_view_zap(view, start, end);
}

/**
 * gmem_invalidate_begin() - begin an invalidation in every VM
 * @gi: the inode
 * @start: first page offset
 * @end: page offset after the last
 *
 * Context: as gmem_view_invalidate_begin(). One mmu_lock at a time.
 */
void gmem_invalidate_begin(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	gmem_invalidate_zap(gi, start, end);
	gmem_flush(gi, start, end);
}

/**
 * gmem_invalidate_end() - end an invalidation in every VM
 * @gi: the inode
 * @start: as in the matching gmem_invalidate_begin()
 * @end: likewise
 *
 * Context: as gmem_invalidate_begin().
 */
void gmem_invalidate_end(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	struct gmem_view *view;

	gmem_assert_views_stable(gi);

	list_for_each_entry(view, &gi->views, entry)
		gmem_view_invalidate_end(view, start, end);
}

/**
 * gmem_invalidate_folio() - take a folio out of every VM's stage-2 tables
 * @gi: its inode
 * @folio: locked, in the page cache
 *
 * With neither invalidate_lock nor a change to make between begin and end: faults in
 * flight that found the folio as it was start over.
 *
 * Context: Process context, may sleep. Takes views_lock.
 */
void gmem_invalidate_folio(struct gmem_inode *gi, struct folio *folio)
{
	pgoff_t start = folio->index, end = folio_next_index(folio);

	mutex_lock(&gi->views_lock);
	gmem_chunks_break(gi, &start, &end);
	gmem_invalidate_begin(gi, start, end);
	gmem_invalidate_end(gi, start, end);
	mutex_unlock(&gi->views_lock);
}
