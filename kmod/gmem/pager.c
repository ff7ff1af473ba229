// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a pager owes, and the end of waiting: see pager.h.
 */
#include "gmem.h"
#include "pager.h"
#include "ring.h"

static struct gmem_pager *gmem_pager_of(struct gmem_inode *gi)
{
	/* Pairs with gmem_pager_attach(): what it points to is complete. */
	return smp_load_acquire(&gi->pager);
}

static struct gmem_pager *gmem_pager_alloc(struct gmem_inode *gi)
{
	struct gmem_pager *pager = kzalloc(sizeof(*pager), GFP_KERNEL_ACCOUNT);

	if (!pager)
		return NULL;

	pager->owed = gmem_ranges_alloc(GMEM_OWED | GMEM_FAILED);
	if (!pager->owed) {
		kfree(pager);
		return NULL;
	}
	pager->gi = gi;
	mutex_init(&pager->lock);
	gmem_events_init(pager);
	gmem_waits_init(&pager->waits);
	return pager;
}

/**
 * gmem_pager_free() - free an inode's pager with the inode
 * @gi: the inode, of which nobody has a reference any more
 *
 * Context: Process context.
 */
void gmem_pager_free(struct gmem_inode *gi)
{
	struct gmem_pager *pager = gi->pager;

	if (!pager)
		return;

	gmem_events_free(pager);
	gmem_ranges_free(pager->owed);
	kfree(pager);
	gi->pager = NULL;
}

static int gmem_pager_open(struct gmem_pager *pager, pgoff_t start, pgoff_t nr, u64 flags)
{
	int r;

	lockdep_assert_held_write(&gmem_mapping(pager->gi)->invalidate_lock);
	guard(mutex)(&pager->lock);

	if (pager->open)
		return -EBUSY;

	/* What is owed to this inode's VMs is not to be forgotten by a newcomer. */
	if (!(flags & KVM_GMEM_PAGER_TAKEOVER) && !gmem_ranges_empty(pager->owed))
		return -EBUSY;

	if (nr) {
		r = gmem_ranges_set(pager->owed, start, start + nr - 1, GMEM_OWED);
		if (r)
			return r;
	}
	gmem_events_unread(pager);
	pager->flags = flags;
	pager->open = true;
	return 0;
}

/**
 * gmem_pager_attach() - a pager takes on an inode's missing pages
 * @gi: the inode
 * @start: first page offset that is owed from now on
 * @nr: how many; 0 where a pager takes over what is owed
 * @flags: KVM_GMEM_PAGER_*
 *
 * Pages that are there are not asked for. A fault that is under way may still
 * allocate a missing one: it came before.
 *
 * Context: Process context; takes invalidate_lock.
 * Return: the pager, or an ERR_PTR: -EBUSY where there is one, or one is owed
 * for and this is no takeover; -EPIPE without a view; -ENOMEM.
 */
struct gmem_pager *gmem_pager_attach(struct gmem_inode *gi, pgoff_t start, pgoff_t nr, u64 flags)
{
	struct address_space *mapping = gmem_mapping(gi);
	struct gmem_pager *pager;
	int r;

	filemap_invalidate_lock(mapping);

	r = -EPIPE;
	if (list_empty(&gi->views))
		goto out;

	r = -ENOMEM;
	pager = gi->pager ? : gmem_pager_alloc(gi);
	if (!pager)
		goto out;
	/* Faults look for it without a lock. */
	smp_store_release(&gi->pager, pager);

	r = gmem_pager_open(pager, start, nr, flags);
out:
	filemap_invalidate_unlock(mapping);
	return r ? ERR_PTR(r) : pager;
}

/**
 * gmem_pager_close() - the pager's file is gone
 * @pager: the pager
 *
 * Nobody gets zeroes for that: waiters go on waiting, or fail, as was said when
 * the pager was created.
 *
 * Context: Process context.
 */
void gmem_pager_close(struct gmem_pager *pager)
{
	mutex_lock(&pager->lock);
	pager->open = false;
	gmem_ring_remove(pager);
	mutex_unlock(&pager->lock);
	gmem_waits_wake(pager, 0, ULONG_MAX, NULL);
}

/**
 * gmem_pager_missing() - what becomes of a page that is missing
 * @gi: the inode
 * @index: page offset
 *
 * Context: Any.
 * Return: 0: it comes as zeroes; -ENODATA: wait for the pager; -EHWPOISON: the pager
 * has failed it, or is dead and said that this is what happens then.
 */
int gmem_pager_missing(struct gmem_inode *gi, pgoff_t index)
{
	struct gmem_pager *pager = gmem_pager_of(gi);

	if (!pager)
		return 0;

	switch (gmem_ranges_get(pager->owed, index)) {
	case GMEM_OWED:
		if (!READ_ONCE(pager->open) && (pager->flags & KVM_GMEM_PAGER_FAIL))
			return -EHWPOISON;
		return -ENODATA;
	case GMEM_FAILED:
		return -EHWPOISON;
	default:
		return 0;
	}
}

/**
 * gmem_pager_owes() - is the pager to serve pages, if they are missing?
 * @gi: the inode
 * @start: first page offset
 * @nr: how many
 *
 * Context: Any.
 * Return: whether all of them are owed, failed or not.
 */
bool gmem_pager_owes(struct gmem_inode *gi, pgoff_t start, pgoff_t nr)
{
	struct gmem_pager *pager = gmem_pager_of(gi);
	pgoff_t last, index = start;

	if (!pager)
		return false;

	do {
		if (!gmem_ranges_get_run(pager->owed, index, &last))
			return false;
		index = last + 1;
	} while (last - start < nr - 1);
	return true;
}

/* Is there still nothing behind @index but a promise? */
static bool gmem_pager_is_missing(struct gmem_pager *pager, pgoff_t index)
{
	return gmem_pager_missing(pager->gi, index) == -ENODATA &&
	       gmem_page_is_missing(pager->gi, index);
}

/**
 * gmem_pager_waits() - is there a page to wait for?
 * @gi: the inode, which has a pager
 * @index: page offset
 *
 * Context: Any, also where the caller is about to sleep.
 * Return: true while the page is owed and missing, and there is hope.
 */
bool gmem_pager_waits(struct gmem_inode *gi, pgoff_t index)
{
	return gmem_pager_is_missing(gmem_pager_of(gi), index);
}

/**
 * gmem_pager_ask() - somebody needs a missing page
 * @gi: the inode
 * @index: page offset
 * @vm: who, as in fdinfo; 0: the host
 * @flags: KVM_GMEM_FAULT_*
 *
 * One event for a page, however many ask. An answer that comes before the
 * caller waits is no loss: it looks again before it sleeps.
 *
 * Context: Process context; no lock but kvm->srcu, vcpu->mutex or mmap_lock is held.
 * Return: 0 or -ENOMEM.
 */
int gmem_pager_ask(struct gmem_inode *gi, pgoff_t index, u32 vm, u32 flags)
{
	struct gmem_pager *pager = gmem_pager_of(gi);

	guard(mutex)(&pager->lock);
	if (!gmem_pager_is_missing(pager, index))
		return 0;
	return gmem_events_ask(pager, index, vm, flags);
}

/**
 * gmem_pager_wake() - have all who wait, for pages or events, look again
 * @gi: the inode
 *
 * Context: Process context, may sleep.
 */
void gmem_pager_wake(struct gmem_inode *gi)
{
	struct gmem_pager *pager = gmem_pager_of(gi);

	if (!pager)
		return;
	gmem_waits_wake(pager, 0, ULONG_MAX, NULL);
	wake_up_all(&pager->readers);
}

/**
 * gmem_pager_wake_range() - have those who wait for pages look again
 * @gi: the inode, with a pager or without
 * @start: first page offset
 * @end: page offset after the last
 * @kvm: as gmem_waits_wake()
 *
 * Context: Process context, may sleep.
 */
void gmem_pager_wake_range(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
			   const struct kvm *kvm)
{
	struct gmem_pager *pager = gmem_pager_of(gi);

	if (pager)
		gmem_waits_wake(pager, start, end, kvm);
}

/**
 * gmem_pager_resolved() - there is an answer for pages
 * @gi: the inode
 * @start: first page offset
 * @end: page offset after the last
 *
 * Context: Process context; the pages are there, or can't be owed any more.
 */
void gmem_pager_resolved(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	struct gmem_pager *pager = gmem_pager_of(gi);

	if (!pager || start == end)
		return;

	mutex_lock(&pager->lock);
	gmem_events_answered(pager, start, end);
	mutex_unlock(&pager->lock);
	gmem_waits_wake(pager, start, end, NULL);
}

/**
 * gmem_pager_touched() - a page has come as zeroes
 * @gi: the inode
 * @index: page offset
 *
 * The touch may have begun before there was a pager that owes the page. Another task
 * may be waiting for that pager already.
 *
 * Context: Process context; the page has content.
 */
void gmem_pager_touched(struct gmem_inode *gi, pgoff_t index)
{
	if (gmem_pager_owes(gi, index, 1))
		gmem_pager_resolved(gi, index, index + 1);
}

/* Nobody is to ask for these pages any more; who waits for them is to be woken. */
static int gmem_pager_set(struct gmem_pager *pager, pgoff_t first, pgoff_t last,
			  unsigned long value)
{
	int r;

	lockdep_assert_held(&pager->lock);

	r = gmem_ranges_set(pager->owed, first, last, value);
	if (!r)
		gmem_events_answered(pager, first, last + 1);
	return r;
}

/**
 * gmem_pager_fail() - the pager can't serve a range
 * @pager: the pager
 * @start: first page offset
 * @nr: how many
 *
 * Context: Process context; takes invalidate_lock.
 * Return: 0; -ENOENT where a page of it is not owed; -ENOMEM.
 */
int gmem_pager_fail(struct gmem_pager *pager, pgoff_t start, pgoff_t nr)
{
	struct address_space *mapping = gmem_mapping(pager->gi);
	int r = -ENOENT;

	filemap_invalidate_lock_shared(mapping);
	mutex_lock(&pager->lock);

	if (gmem_pager_owes(pager->gi, start, nr))
		r = gmem_pager_set(pager, start, start + nr - 1, GMEM_FAILED);

	mutex_unlock(&pager->lock);
	filemap_invalidate_unlock_shared(mapping);
	gmem_waits_wake(pager, start, start + nr, NULL);
	return r;
}

/* Pages with content from @first to @last. */
static unsigned long gmem_pager_count_present(struct gmem_inode *gi, pgoff_t first, pgoff_t last)
{
	unsigned long index, count = 0;
	pgoff_t counted = first, end;
	struct folio *folio;

	rcu_read_lock();
	xa_for_each_range(&gmem_mapping(gi)->i_pages, index, folio, first, last) {
		/* A folio of many pages is met once; or page by page, if it is split now. */
		end = !gmem_folio_has_content(folio) ? 0 :
		      min(last + 1, folio_next_index(folio));
		counted = max(counted, index);
		if (end > counted) {
			count += end - counted;
			counted = end;
		}
		if (need_resched()) {
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
 * How many missing pages are owed. With invalidate_lock held for writing the
 * count stays, but for what stage-2 faults that came before the pager allocate.
 */
static unsigned long gmem_pager_count_owed(struct gmem_pager *pager)
{
	pgoff_t pages = i_size_read(&pager->gi->vfs_inode) >> PAGE_SHIFT;
	unsigned long count = 0;
	pgoff_t index, last;

	for (index = 0; index < pages; index = last + 1) {
		if (gmem_pager_walk(pager, index, &last))
			count += last - index + 1 -
				 gmem_pager_count_present(pager->gi, index, last);
		cond_resched();
	}
	return count;
}

static int gmem_pager_forget(struct gmem_pager *pager)
{
	pgoff_t pages = i_size_read(&pager->gi->vfs_inode) >> PAGE_SHIFT;

	guard(mutex)(&pager->lock);
	return gmem_pager_set(pager, 0, pages - 1, 0);
}

/* What is owed fails. What never was, or was taken by a hole, is as it was. */
static int gmem_pager_fail_all(struct gmem_pager *pager)
{
	pgoff_t pages = i_size_read(&pager->gi->vfs_inode) >> PAGE_SHIFT;
	pgoff_t index, last;
	int r = 0;

	guard(mutex)(&pager->lock);
	for (index = 0; !r && index < pages; index = last + 1) {
		if (gmem_pager_walk(pager, index, &last) == GMEM_OWED)
			r = gmem_pager_set(pager, index, last, GMEM_FAILED);
		cond_resched();
	}
	return r;
}

/**
 * gmem_pager_detach() - nothing is owed any more
 * @pager: the pager
 * @force: missing pages that are owed fail from now on, for good; else there may
 *	   be none
 * @missing: where their number goes
 *
 * Context: Process context; takes invalidate_lock.
 * Return: 0; -EBUSY where owed pages are missing; -ENOMEM: by force, some may fail
 * already.
 */
int gmem_pager_detach(struct gmem_pager *pager, bool force, unsigned long *missing)
{
	struct address_space *mapping = gmem_mapping(pager->gi);
	int r;

	filemap_invalidate_lock(mapping);
	*missing = gmem_pager_count_owed(pager);
	if (!*missing)
		r = gmem_pager_forget(pager);
	else if (force)
		r = gmem_pager_fail_all(pager);
	else
		r = -EBUSY;
	filemap_invalidate_unlock(mapping);

	gmem_waits_wake(pager, 0, ULONG_MAX, NULL);
	return r;
}

static int gmem_pager_remove_locked(struct gmem_pager *pager, pgoff_t start, pgoff_t end)
{
	struct gmem_pager_event *event;
	int r;

	if (gmem_ranges_match(pager->owed, start, end - 1, ~0UL, 0))
		return 0;

	event = gmem_event_alloc(KVM_GMEM_EVENT_REMOVE, start, end - start);
	if (!event)
		return -ENOMEM;

	r = gmem_pager_set(pager, start, end - 1, 0);
	if (r) {
		kfree(event);
		return r;
	}
	/* A pager that is not there reads of it when it takes over. */
	gmem_events_add_removal(pager, event);
	return 0;
}

/**
 * gmem_pager_remove() - a hole takes pages from what is owed
 * @gi: the inode
 * @start: first page offset
 * @end: page offset after the last
 *
 * Context: Process context; invalidate_lock is held for writing until the hole
 * is there.
 * Return: 0, or -ENOMEM with nothing changed.
 */
int gmem_pager_remove(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	struct gmem_pager *pager = gmem_pager_of(gi);
	int r;

	lockdep_assert_held_write(&gmem_mapping(gi)->invalidate_lock);

	if (!pager || start >= end)
		return 0;

	mutex_lock(&pager->lock);
	r = gmem_pager_remove_locked(pager, start, end);
	mutex_unlock(&pager->lock);
	gmem_waits_wake(pager, start, end, NULL);
	return r;
}
