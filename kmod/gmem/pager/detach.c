// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pager owes nothing any more: KVM_GMEM_PAGER_DETACH.
 */
#include <linux/sched/signal.h>

#include "../folio.h"
#include "../gmem.h"
#include "owed.h"

/* Pages that are counted between two looks at what is owed, and for a fatal signal: 1 GiB. */
#define GMEM_PAGER_COUNT	(SZ_1G >> PAGE_SHIFT)

/*
 * Pages with content from @first to @last. Nothing keeps a folio, which may be another
 * file's by the time it is looked at: what it covers is asked of the page cache.
 */
static unsigned long gmem_pager_count_present(struct gmem_inode *gi, pgoff_t first, pgoff_t last)
{
	XA_STATE(xas, &gmem_mapping(gi)->i_pages, first);
	pgoff_t counted = first;
	unsigned long count = 0;
	struct folio *folio;

	rcu_read_lock();
	xas_for_each(&xas, folio, last) {
		pgoff_t from, end;

		if (xas_retry(&xas, folio))
			continue;

		/* A folio of many pages is met once; or page by page, if it is split now. */
		from = round_down(xas.xa_index, 1UL << xas_get_order(&xas));
		end = min(from + (1UL << xas_get_order(&xas)), last + 1);
		from = max(from, counted);
		if (end > from && gmem_folio_has_content(folio)) {
			count += end - from;
			counted = end;
		}
		if (need_resched()) {
			xas_pause(&xas);
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
	return count;
}

/*
 * The value from page offset @index on, and in @last how far it goes inside the
 * inode: behind its end nothing is owed, up to the last offset that there is.
 */
static unsigned long gmem_pager_walk(struct gmem_pager *pager, pgoff_t index, pgoff_t *last)
{
	pgoff_t end = (i_size_read(&pager->gi->vfs_inode) >> PAGE_SHIFT) - 1;
	unsigned long value = gmem_ranges_get_run(pager->owed, index, last);

	*last = min(*last, end);
	return value;
}

/*
 * How many missing pages are owed. No lock is held: others populate meanwhile, or punch
 * holes. If none is found, none is there at the end either: a page that is owed and
 * present leaves the page cache only by a hole, which takes it from what is owed first,
 * and no page becomes owed while the pager is open.
 */
static int gmem_pager_count_owed(struct gmem_pager *pager, unsigned long *missing)
{
	pgoff_t pages = i_size_read(&pager->gi->vfs_inode) >> PAGE_SHIFT;
	pgoff_t index, last;

	*missing = 0;
	for (index = 0; index < pages; index = last + 1) {
		if (gmem_pager_walk(pager, index, &last)) {
			last = min(last, index + GMEM_PAGER_COUNT - 1);
			*missing += last - index + 1 -
				    gmem_pager_count_present(pager->gi, index, last);
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static int gmem_pager_forget(struct gmem_pager *pager)
{
	struct address_space *mapping = gmem_mapping(pager->gi);
	pgoff_t pages = i_size_read(&pager->gi->vfs_inode) >> PAGE_SHIFT;
	int r;

	if (gmem_lock_killable(mapping))
		return -EINTR;
	r = gmem_pager_set(pager, 0, pages - 1, 0);
	filemap_invalidate_unlock(mapping);
	return r;
}

/* The next range from *@index on that is owed fails. Returns 0 with *@index behind it. */
static int gmem_pager_fail_next(struct gmem_pager *pager, pgoff_t *index)
{
	struct address_space *mapping = gmem_mapping(pager->gi);
	pgoff_t last;
	int r = 0;

	if (gmem_lock_killable(mapping))
		return -EINTR;
	if (gmem_pager_walk(pager, *index, &last) == GMEM_OWED)
		r = gmem_pager_set(pager, *index, last, GMEM_FAILED);
	filemap_invalidate_unlock(mapping);
	*index = last + 1;
	return r;
}

/* What is owed fails. What never was, or was taken by a hole, is as it was. */
static int gmem_pager_fail_all(struct gmem_pager *pager)
{
	pgoff_t pages = i_size_read(&pager->gi->vfs_inode) >> PAGE_SHIFT, index = 0;
	int r = 0;

	while (!r && index < pages) {
		if (fatal_signal_pending(current))
			return -EINTR;
		r = gmem_pager_fail_next(pager, &index);
		cond_resched();
	}
	return r;
}

/**
 * gmem_pager_detach() - nothing is owed any more
 * @pager: the pager, whose file is open
 * @force: missing pages that are owed fail from now on, for good; else there may
 *	   be none
 * @missing: where their number goes
 *
 * Context: Process context; takes invalidate_lock, for one range at a time.
 * Return: 0; -EBUSY where owed pages are missing; -ENOMEM, -EINTR by a fatal signal: by
 * force, some may fail already.
 */
int gmem_pager_detach(struct gmem_pager *pager, bool force, unsigned long *missing)
{
	int r = gmem_pager_count_owed(pager, missing);

	if (r)
		return r;
	if (!*missing)
		r = gmem_pager_forget(pager);
	else if (force)
		r = gmem_pager_fail_all(pager);
	else
		r = -EBUSY;

	gmem_pager_wake(pager->gi);
	return r;
}
