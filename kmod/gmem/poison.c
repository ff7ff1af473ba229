// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory failure: uncorrected errors in an inode's pages.
 *
 * memory_failure() marks a page as poisoned, then calls error_remove_folio() to have it
 * taken out of reach. The page stays in the inode, since what to do about the loss
 * is userspace's decision: until a hole is punched there, every touch gets -EHWPOISON
 * from gmem_folio_grab(), which sees the mark.
 *
 * memory_failure() keeps its own reference to a page that it has dealt with, for good.
 * If there is any other, it reports a failure, and the task that consumed the error is
 * killed. So the page cache drops its reference and takes over memory_failure()'s. A
 * hole, or the end of the inode, drops that. The allocator does not take back a single
 * page that has the mark.
 *
 * A folio of PMD size is split first. If somebody has a reference to it,
 * memory_failure() gives up: it leaves the mark, drops its reference, and does not call
 * error_remove_folio(). But trying to split asks gmem_huge_may_split() first, which
 * takes the whole folio out of every VM; the mark is set by then. And whatever
 * memory_failure() does ends in a tracepoint, also where it could not even get at the
 * page to try. From there a work item of the inode's does the same again, and notes that
 * the inode has such a folio. If there are more failures than are remembered, it looks
 * for all pages that have the mark. Faults map the good pages of such a folio one by one
 * afterwards. When the folio goes it is split if possible, see huge.c; if not, all of it
 * is kept from the allocator, which does not look for the mark inside a folio.
 */
#include <linux/kfifo.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>

#include "gmem.h"
#include "inode.h"
#include "invalidate.h"
#include "pager/owed.h"
#include "trace.h"

/* Frames that memory_failure() has dealt with, until the work item gets at them. */
static DEFINE_KFIFO(gmem_failures, unsigned long, 256);
static DEFINE_RAW_SPINLOCK(gmem_failures_lock);
/* There were too many: some are not among them. */
static bool gmem_failures_forgotten;
/* For the works of inodes. */
static struct workqueue_struct *gmem_failure_wq;

/* memory_failure()'s last word, or NULL. */
static struct tracepoint *gmem_failure_event;

/* The folio that a frame belongs to now, with a reference, or NULL. */
static struct folio *gmem_failure_folio(unsigned long pfn)
{
	struct page *page = pfn_to_online_page(pfn);
	struct folio *folio;

	while (page) {
		folio = page_folio(page);
		if (!folio_try_get(folio))
			break;
		if (page_folio(page) == folio)
			return folio;
		/* Split or freed meanwhile: the page is another folio's. */
		folio_put(folio);
	}
	return NULL;
}

static void gmem_failure_in_folio(struct gmem_inode *gi, struct folio *folio)
{
	folio_lock(folio);
	if (folio->mapping == gmem_mapping(gi)) {
		if (folio_test_large(folio)) {
			WRITE_ONCE(gi->unsplit, true);
			folio_set_has_hwpoisoned(folio);
		}
		gmem_invalidate_folio(gi, folio);
		trace_gmem_poison(gi, folio->index, folio_pfn(folio), folio_order(folio));
	}
	folio_unlock(folio);
}

static void gmem_failure_in_frame(struct gmem_inode *gi, unsigned long pfn)
{
	struct folio *folio = gmem_failure_folio(pfn);

	if (!folio)
		return;

	gmem_failure_in_folio(gi, folio);
	folio_put(folio);
}

/* By the pages' own marks: the folio's may not be set yet, see gmem_failure_probe(). */
static bool gmem_folio_has_poison(struct folio *folio)
{
	for (long i = 0; i < folio_nr_pages(folio); i++) {
		if (PageHWPoison(folio_page(folio, i)))
			return true;
	}
	return false;
}

/* Some frames were forgotten: all that have the mark. */
static void gmem_failure_scan(struct gmem_inode *gi)
{
	struct folio_batch batch;
	pgoff_t index = 0;

	folio_batch_init(&batch);
	while (filemap_get_folios(gmem_mapping(gi), &index, ULONG_MAX, &batch)) {
		for (unsigned int i = 0; i < folio_batch_count(&batch); i++) {
			if (gmem_folio_has_poison(batch.folios[i]))
				gmem_failure_in_folio(gi, batch.folios[i]);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
}

static void gmem_failures_in_inode(struct work_struct *work)
{
	struct gmem_inode *gi = container_of(work, struct gmem_inode, failure_work);
	unsigned long pfn;

	if (xchg(&gi->failures_forgotten, false))
		gmem_failure_scan(gi);
	while (kfifo_get(&gi->failures, &pfn))
		gmem_failure_in_frame(gi, pfn);
	iput(&gi->vfs_inode);
}

/**
 * gmem_poison_init_inode() - no memory failure yet
 * @gi: a new inode
 *
 * Context: Any.
 */
void gmem_poison_init_inode(struct gmem_inode *gi)
{
	INIT_WORK(&gi->failure_work, gmem_failures_in_inode);
	INIT_KFIFO(gi->failures);
	gi->failures_forgotten = false;
}

/* The caller's reference to the inode goes. One that is queued already has its own. */
static void gmem_failures_queue(struct gmem_inode *gi)
{
	if (!queue_work(gmem_failure_wq, &gi->failure_work))
		iput(&gi->vfs_inode);
}

/*
 * The frame may belong to anything, such as a slab, which has no folio lock and no
 * mapping that could be followed. So what stands there as its mapping is only
 * compared, with our inodes' mappings.
 */
static void gmem_failure_pass(unsigned long pfn)
{
	struct folio *folio = gmem_failure_folio(pfn);
	struct gmem_inode *gi;

	if (!folio)
		return;

	gi = gmem_inode_find(READ_ONCE(folio->mapping));
	folio_put(folio);
	if (!gi)
		return;

	if (!kfifo_put(&gi->failures, pfn))
		WRITE_ONCE(gi->failures_forgotten, true);
	gmem_failures_queue(gi);
}

static void gmem_failures_pass_all(void)
{
	struct gmem_inode *gi = NULL;

	while ((gi = gmem_inode_next(gi))) {
		WRITE_ONCE(gi->failures_forgotten, true);
		ihold(&gi->vfs_inode);
		gmem_failures_queue(gi);
		cond_resched();
	}
}

/*
 * Waits for no lock of an inode's: a VMM can hold those for long, and others' failures are not to
 * wait for that. Each inode has a work of its own.
 */
static void gmem_failure_worker(struct work_struct *work)
{
	unsigned long pfn;

	if (xchg(&gmem_failures_forgotten, false))
		gmem_failures_pass_all();
	while (kfifo_get(&gmem_failures, &pfn))
		gmem_failure_pass(pfn);
}

static DECLARE_WORK(gmem_failure_work, gmem_failure_worker);

/*
 * memory_failure() is done, or has given up. A guest that consumes the error again
 * before the work item runs only ends up here once more. Preemption is disabled.
 */
static void gmem_failure_probe(void *data, unsigned long pfn, int type, int result)
{
	unsigned long flags;
	bool queued;

	if (result == MF_RECOVERED)
		return;

	raw_spin_lock_irqsave(&gmem_failures_lock, flags);
	queued = kfifo_put(&gmem_failures, pfn);
	raw_spin_unlock_irqrestore(&gmem_failures_lock, flags);

	if (!queued) {
		WRITE_ONCE(gmem_failures_forgotten, true);
		pr_warn_ratelimited("gmem: many memory failures: looking for all of them\n");
	}
	queue_work(system_highpri_wq, &gmem_failure_work);
}

static void gmem_failure_find(struct tracepoint *event, void *priv)
{
	if (!strcmp(event->name, "memory_failure_event"))
		gmem_failure_event = event;
}

/**
 * gmem_poison_is_told() - is memory failure in a folio of PMD size noticed?
 *
 * Context: Any.
 * Return: false where no inode may have such folios.
 */
bool gmem_poison_is_told(void)
{
	return !IS_ENABLED(CONFIG_MEMORY_FAILURE) || gmem_failure_event;
}

/**
 * gmem_poison_init() - begin to listen
 *
 * Context: Module load.
 */
void gmem_poison_init(void)
{
	gmem_failure_wq = alloc_workqueue("gmem_poison", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (gmem_failure_wq)
		for_each_kernel_tracepoint(gmem_failure_find, NULL);
	if (gmem_failure_event &&
	    tracepoint_probe_register(gmem_failure_event, gmem_failure_probe, NULL))
		gmem_failure_event = NULL;

	if (!gmem_poison_is_told())
		pr_warn("gmem: memory failure does not tell: no folios of 2 MiB\n");
}

/**
 * gmem_poison_exit() - stop listening
 *
 * Context: Module unload.
 */
void gmem_poison_exit(void)
{
	if (gmem_failure_event) {
		tracepoint_probe_unregister(gmem_failure_event, gmem_failure_probe, NULL);
		tracepoint_synchronize_unregister();
		gmem_failure_event = NULL;
	}
	cancel_work_sync(&gmem_failure_work);
	if (gmem_failure_wq)
		destroy_workqueue(gmem_failure_wq);
}

/**
 * gmem_error_remove_folio() - address_space_operations.error_remove_folio
 * @mapping: of a guest memory inode
 * @folio: has a memory error, is locked, marked as poisoned, and a single page
 *
 * invalidate_lock can't be had here: a hole being punched holds it and waits
 * for this very folio's lock. Linux 6.12 takes it and can deadlock.
 *
 * Context: Process context, may sleep; memory_failure() holds the folio lock.
 * Return: 0: the folio is out of reach.
 */
int gmem_error_remove_folio(struct address_space *mapping, struct folio *folio)
{
	struct gmem_inode *gi = GMEM_I(mapping->host);

	gmem_invalidate_folio(gi, folio);
	trace_gmem_poison(gi, folio->index, folio_pfn(folio), 0);

	/* The pager can't fill it any more: end the waits for it. */
	gmem_pager_resolved(gi, folio->index, folio_next_index(folio));

	/* Else it would be dropped for a clean one: gmem_release_folio() has to say yes. */
	folio_set_dirty(folio);
	/* The caller keeps its reference, which is the page cache's from now on. */
	folio_put(folio);
	return 0;
}

/**
 * gmem_poison_keep() - keep a folio with a poisoned page from the allocator
 * @folio: out of the page cache
 *
 * A single page needs nothing: the allocator looks at its mark.
 *
 * Context: Process context.
 */
void gmem_poison_keep(struct folio *folio)
{
	if (!folio_test_large(folio) || !gmem_folio_has_poison(folio))
		return;

	pr_warn("gmem: frames %#lx to %#lx are lost: a bad page among them, and in use\n",
		folio_pfn(folio), folio_pfn(folio) + folio_nr_pages(folio) - 1);
	trace_gmem_keep(folio_pfn(folio), folio_order(folio));
	folio_get(folio);
}
