// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages come into an inode zeroed and leave it so.
 *
 * A folio in the page cache that is not up to date is all zeroes, unless it is
 * marked as stale: populating it failed in the middle. One that is up to date
 * has been prepared for the guest and may hold its content. This way a page is
 * cleared once: by the allocator, which clears it in any case where the kernel
 * initializes memory on allocation.
 */
#include <linux/highmem.h>

#include "folio.h"
#include "gmem.h"
#include "invalidate.h"
#include "pager/owed.h"
#include "trace.h"

static struct folio *gmem_folio_add(struct gmem_inode *gi, pgoff_t index, bool reclaim)
{
	struct address_space *mapping = gmem_mapping(gi);
	gfp_t gfp = mapping_gfp_mask(mapping);
	struct folio *folio;
	int r;

	if (!reclaim)
		gfp = (gfp | __GFP_NOWARN) & ~__GFP_DIRECT_RECLAIM;

	/* Spreads over nodes by cpuset and the task's policy, as all page cache. */
	folio = filemap_alloc_folio(gfp | __GFP_ZERO, 0);
	if (!folio)
		return ERR_PTR(-ENOMEM);

	/* Charges the memory cgroup of the task that faults or fills. */
	r = filemap_add_folio(mapping, folio, index, gfp);
	if (r) {
		folio_put(folio);
		return ERR_PTR(r);
	}

	atomic_long_add(folio_nr_pages(folio), &gi->allocated);
	return folio;
}

/* May a folio be used for a page? Missing pages that the pager owes are its to give. */
static int gmem_folio_check(struct gmem_inode *gi, struct folio *folio, pgoff_t index)
{
	if (gmem_folio_is_poisoned(folio, index))
		return -EHWPOISON;

	return gmem_folio_has_content(folio) ? 0 : gmem_pager_missing(gi, index);
}

/**
 * gmem_folio_grab() - find or allocate the folio of a page
 * @gi: the inode
 * @index: page offset, inside the inode's size
 * @reclaim: memory may be made free for it, in which the task may be made to wait for as long
 *	     as its memory cgroup is throttled
 *
 * With invalidate_lock held it is tried without @reclaim first, and again after
 * gmem_make_room(): see gmem_may_try_again().
 *
 * A new folio is all zeroes and not up to date. Accessed, referenced and dirty
 * state are not kept: the memory is unevictable and has no backing store.
 *
 * Context: Process context, may sleep. No folio lock is held.
 * Return: the folio, locked and with a reference, or an ERR_PTR: -ENOMEM,
 * -EHWPOISON where the page is poisoned or the pager failed it, -ENODATA where
 * the page is missing and the pager owes it.
 */
struct folio *gmem_folio_grab(struct gmem_inode *gi, pgoff_t index, bool reclaim)
{
	struct address_space *mapping = gmem_mapping(gi);
	struct folio *folio;
	int r;

	do {
		folio = filemap_lock_folio(mapping, index);
		if (folio != ERR_PTR(-ENOENT))
			break;
		/* What is owed is not even allocated. */
		r = gmem_pager_missing(gi, index);
		if (r)
			return ERR_PTR(r);
		/* Another task may add a folio here first: use that one then. */
		folio = gmem_folio_add(gi, index, reclaim);
	} while (folio == ERR_PTR(-EEXIST));

	if (IS_ERR(folio))
		return folio;

	r = gmem_folio_check(gi, folio, index);
	if (r) {
		folio_unlock(folio);
		folio_put(folio);
		return ERR_PTR(r);
	}
	return folio;
}

/**
 * gmem_page_clear() - clear a page of an inode, or one that was
 * @page: the page
 *
 * All clearing is done here, because writing to a poisoned page is a machine check.
 * Those keep what they have: nobody gets them any more.
 *
 * Context: Process context.
 */
void gmem_page_clear(struct page *page)
{
	if (!PageHWPoison(page))
		clear_highpage(page);
}

static void gmem_folio_zero(struct folio *folio)
{
	for (long i = 0; i < folio_nr_pages(folio); i++)
		gmem_page_clear(folio_page(folio, i));
}

/**
 * gmem_folio_set_stale() - say that a folio holds content that nobody is to see
 * @folio: not up to date
 *
 * It is cleared when it is used next or freed, not now: the page may still be
 * the firmware's after a launch command failed, as Linux 6.12 takes care of.
 *
 * Context: invalidate_lock is held for writing: @folio is in the page cache.
 */
void gmem_folio_set_stale(struct folio *folio)
{
	folio_set_owner_2(folio);
}

/**
 * gmem_folio_make_zero() - make sure that a folio is all zeroes
 * @folio: locked and not up to date
 *
 * Context: Process context.
 */
void gmem_folio_make_zero(struct folio *folio)
{
	if (folio_test_owner_2(folio)) {
		gmem_folio_zero(folio);
		folio_clear_owner_2(folio);
	}
}

/**
 * gmem_folio_make_shared() - make a folio ready for the host's userspace
 * @folio: locked, of a page that is shared and missing
 *
 * No vendor prepares shared pages.
 *
 * Context: Process context; invalidate_lock is held.
 */
void gmem_folio_make_shared(struct folio *folio)
{
	gmem_folio_make_zero(folio);
	folio_mark_uptodate(folio);
}

/*
 * The allocator itself clears every page before it hands it out, or cleared
 * it when it came back: see the init_on_alloc and init_on_free parameters.
 */
static bool gmem_allocator_clears(void)
{
	return want_init_on_alloc(0) || want_init_on_free();
}

/**
 * gmem_folio_clear_freed() - clear a folio that was taken out, once more
 * @folio: out of the page cache, with a reference
 *
 * Context: Process context.
 */
void gmem_folio_clear_freed(struct folio *folio)
{
	if (folio_test_uptodate(folio) && !gmem_allocator_clears())
		gmem_folio_zero(folio);
}

/**
 * gmem_free_folio() - address_space_operations.free_folio
 * @folio: out of the page cache and, since the truncation that removes it
 *	   follows an invalidation, in no VM's stage-2 tables
 *
 * The guest's content ends here, unless the allocator sees to that. A fault in
 * flight may still have a reference, but can't install the folio any more.
 *
 * Context: Process context; the folio is not on any list.
 */
void gmem_free_folio(struct folio *folio)
{
	kvm_pfn_t pfn = folio_pfn(folio);
	long nr = folio_nr_pages(folio);

#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_INVALIDATE
	kvm_arch_gmem_invalidate(pfn, pfn + nr);
#endif
	if (folio_test_uptodate(folio) || folio_test_owner_2(folio)) {
		if (!gmem_allocator_clears())
			gmem_folio_zero(folio);
	}
	folio_clear_owner_2(folio);
	gmem_poison_keep(folio);

	trace_gmem_free(pfn, folio_order(folio));
}
