// SPDX-License-Identifier: GPL-2.0-only
/*
 * Folios of PMD size, 2 MiB.
 *
 * They come with content, when all of their pages are populated at once: one is
 * added to the page cache for 512 pages, and the guest's stage-2 tables map it as a
 * whole. Not in inodes that keep attributes of their own: the host could map pages there,
 * and would map such a folio as a whole too, private pages with shared ones; and whoever
 * holds one page would keep 512 from becoming private.
 *
 * All of a folio's pages were up to date when it came. Pages of it go by splitting
 * it first, which takes that nobody has a reference. Those that come and go are a
 * matter of microseconds: stage-2 faults in flight, of which no new ones get here
 * once the invalidation has begun. The one that may stay is a nested guest's, of
 * kvm_gmem_map(): then the pages are cleared where they are.
 *
 * A fault that found the folio whole may be about to map all of it. So what splits
 * it invalidates all of it, not only the pages that go. Only holes and memory failure
 * may split one, see gmem_huge_may_split().
 */
#include <linux/delay.h>
#include <linux/pagevec.h>

#include "folio.h"
#include "gmem.h"
#include "invalidate.h"

/* For how long a hole waits for references to a folio that it has to split. */
#define GMEM_SPLIT_PATIENCE	msecs_to_jiffies(20)

/**
 * gmem_huge_fits() - may the pages from an offset on come in one folio?
 * @gi: the inode
 * @index: page offset
 *
 * Context: Any; pages that come or go meanwhile are seen or not.
 * Return: whether it begins at @index, ends inside the inode, and no page is there.
 */
bool gmem_huge_fits(struct gmem_inode *gi, pgoff_t index)
{
	unsigned long at = index;

	return gmem_has_huge(gi) && IS_ALIGNED(index, HPAGE_PMD_NR) &&
	       index + HPAGE_PMD_NR <= i_size_read(&gi->vfs_inode) >> PAGE_SHIFT &&
	       !xa_find(&gmem_mapping(gi)->i_pages, &at, index + HPAGE_PMD_NR - 1, XA_PRESENT);
}

/**
 * gmem_huge_alloc() - memory for a folio of PMD size
 * @zero: cleared
 *
 * What happens to be free: nothing is reclaimed or moved for it. The task's policy
 * places it.
 *
 * Context: Process context.
 * Return: the folio, which nobody knows, or NULL.
 */
struct folio *gmem_huge_alloc(bool zero)
{
	gfp_t gfp = (GFP_HIGHUSER | __GFP_NOWARN | __GFP_NOMEMALLOC) & ~__GFP_RECLAIM;

	return filemap_alloc_folio(zero ? gfp | __GFP_ZERO : gfp, HPAGE_PMD_ORDER);
}

/**
 * gmem_huge_add() - put a folio of PMD size into an inode
 * @gi: the inode, for which gmem_has_huge() holds
 * @index: page offset, aligned
 * @folio: up to date; the page cache has a reference of its own then
 *
 * It is dirty, so that truncation leaves it if it can't be split, and does not
 * take pages away with those that are to go.
 *
 * Context: Process context, may sleep; invalidate_lock is held.
 * Return: 0; -EEXIST where a page is there; -ENOMEM, also of the memory cgroup.
 */
int gmem_huge_add(struct gmem_inode *gi, pgoff_t index, struct folio *folio)
{
	struct address_space *mapping = gmem_mapping(gi);
	gfp_t gfp = mapping_gfp_mask(mapping) | __GFP_NORETRY | __GFP_NOWARN;
	int r;

	lockdep_assert_held(&mapping->invalidate_lock);

	folio_set_dirty(folio);
	r = filemap_add_folio(mapping, folio, index, gfp);
	if (r)
		return r;

	atomic_long_add(HPAGE_PMD_NR, &gi->allocated);
	folio_unlock(folio);
	return 0;
}

/* The folio of more than one page that has a page, with a reference, or NULL. */
static struct folio *gmem_huge_get(struct gmem_inode *gi, pgoff_t index)
{
	struct folio *folio;

	if (!gmem_has_huge(gi))
		return NULL;

	folio = filemap_get_folio(gmem_mapping(gi), index);
	if (IS_ERR(folio))
		return NULL;
	if (folio_test_large(folio))
		return folio;

	folio_put(folio);
	return NULL;
}

/**
 * gmem_huge_extend() - extend a range to all of the folios that it has pages of
 * @gi: the inode
 * @start: first page offset
 * @end: page offset after the last
 *
 * Context: Process context; invalidate_lock is held for writing, or there is no view
 * any more: folios may be split meanwhile, but none comes.
 */
void gmem_huge_extend(struct gmem_inode *gi, pgoff_t *start, pgoff_t *end)
{
	struct folio *folio;

	lockdep_assert(lockdep_is_held_type(&gmem_mapping(gi)->invalidate_lock, 0) ||
		       gmem_inode_is_gone(gi));

	folio = gmem_huge_get(gi, *end - 1);
	if (folio) {
		*end = max(*end, folio_next_index(folio));
		folio_put(folio);
	}
	folio = gmem_huge_get(gi, *start);
	if (folio) {
		*start = min(*start, folio->index);
		folio_put(folio);
	}
}

/* Clears pages from @start to @end of the folio that has page @index, if it is large. */
static void gmem_huge_clear(struct gmem_inode *gi, pgoff_t index, pgoff_t start, pgoff_t end)
{
	struct folio *folio = gmem_huge_get(gi, index);

	if (!folio)
		return;

	folio_lock(folio);
	start = max(start, folio->index);
	end = min(end, folio_next_index(folio));
	for (index = start; folio->mapping && index < end; index++)
		gmem_page_clear(folio_file_page(folio, index));
	folio_unlock(folio);
	folio_put(folio);
}

/* Is a folio left that has pages both inside and outside of a range? */
static bool gmem_huge_is_left(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	pgoff_t first = start, last = end;

	gmem_huge_extend(gi, &first, &last);
	return first != start || last != end;
}

/**
 * gmem_huge_may_split() - may a folio of PMD size be split?
 * @folio: locked, in the page cache
 *
 * A hole splits it while all of it is being invalidated. Memory failure splits it
 * first and reports the one page later: until then, a fault in flight that found the
 * folio whole could map all of it, bad page included. So all of it is invalidated
 * here, before the split. A later fault waits for the folio's lock, and finds a
 * single page.
 *
 * Others, such as soft offline, only cost the guest its large mapping: refused.
 *
 * Context: Process context, may sleep.
 * Return: whether the caller is one of those who may.
 */
bool gmem_huge_may_split(struct folio *folio)
{
	struct gmem_inode *gi = GMEM_I(folio->mapping->host);

	if (READ_ONCE(gi->splitter) == current)
		return true;
	if (!folio_test_has_hwpoisoned(folio))
		return false;

	gmem_invalidate_folio(gi, folio);
	return true;
}

/* Truncates pages until done, or until patience ends. Returns whether a folio is left. */
static bool gmem_huge_try_truncate(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	loff_t first = (loff_t)start << PAGE_SHIFT, last = ((loff_t)end << PAGE_SHIFT) - 1;
	unsigned long deadline = jiffies + GMEM_SPLIT_PATIENCE;
	bool left;

	WRITE_ONCE(gi->splitter, current);
	for (;;) {
		truncate_inode_pages_range(gmem_mapping(gi), first, last);
		left = gmem_huge_is_left(gi, start, end);
		if (!left || time_after(jiffies, deadline))
			break;
		usleep_range(50, 500);
	}
	WRITE_ONCE(gi->splitter, NULL);
	return left;
}

/* Finds the next folio in a range that has a poisoned page; @start becomes its first page there. */
static bool gmem_huge_find_poisoned(struct gmem_inode *gi, pgoff_t *start, pgoff_t end)
{
	struct folio_batch batch;
	bool found = false;
	pgoff_t next = *start;

	folio_batch_init(&batch);
	while (!found && filemap_get_folios(gmem_mapping(gi), &next, end - 1, &batch)) {
		for (unsigned int i = 0; i < folio_batch_count(&batch) && !found; i++) {
			struct folio *folio = batch.folios[i];

			found = folio_test_large(folio) && folio_test_has_hwpoisoned(folio);
			if (found)
				*start = max(*start, folio->index);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
	return found;
}

/*
 * The allocator would take back all frames of a folio that is freed as a whole, also a
 * bad one. So one page is truncated first, which splits the folio. If that fails,
 * gmem_poison_keep() keeps all of it.
 */
static void gmem_huge_split_poisoned(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	while (READ_ONCE(gi->unsplit) && start < end &&
	       gmem_huge_find_poisoned(gi, &start, end)) {
		gmem_huge_try_truncate(gi, start, start + 1);
		start = round_up(start + 1, HPAGE_PMD_NR);
	}
}

/**
 * gmem_huge_truncate() - take pages out of an inode
 * @gi: the inode
 * @start: first page offset
 * @end: page offset after the last
 *
 * Truncation splits a folio that it has to; what it can't split it leaves alone.
 *
 * Context: Process context, may sleep; invalidate_lock is held for writing, and the
 * range as gmem_huge_extend() has it is being invalidated.
 */
void gmem_huge_truncate(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	gmem_huge_split_poisoned(gi, start, end);
	if (!gmem_huge_try_truncate(gi, start, end))
		return;

	gmem_huge_clear(gi, start, start, end);
	gmem_huge_clear(gi, end - 1, start, end);
}

/**
 * gmem_huge_truncate_all() - take all pages out of an inode
 * @gi: the inode, of which no VM has a view any more: nobody else changes its pages
 *
 * Context: Process context, may sleep; no lock is held.
 */
void gmem_huge_truncate_all(struct gmem_inode *gi)
{
	gmem_huge_split_poisoned(gi, 0, i_size_read(&gi->vfs_inode) >> PAGE_SHIFT);
	truncate_inode_pages(gmem_mapping(gi), 0);
}
