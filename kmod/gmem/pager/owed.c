// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a pager owes, and the end of waiting: see owed.h.
 */
#include <linux/sched/signal.h>

#include "../folio.h"
#include "../gmem.h"
#include "events.h"
#include "owed.h"
#include "ring.h"
#include "wait.h"

/* What the locks are held for at a time, in pages: 1 GiB. */
#define GMEM_FAIL_PIECE	(1UL << (30 - PAGE_SHIFT))

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
	gmem_allocate_nothing_under(&pager->lock);
	mutex_init(&pager->failing);
	gmem_events_init(pager);
	gmem_waits_init(&pager->waits);
	return pager;
}

static void gmem_pager_destroy(struct gmem_pager *pager)
{
	if (!pager)
		return;

	gmem_events_free(pager);
	gmem_ranges_free(pager->owed);
	kfree(pager);
}

/**
 * gmem_pager_free() - free an inode's pager with the inode
 * @gi: the inode, of which nobody has a reference any more
 *
 * Context: Process context.
 */
void gmem_pager_free(struct gmem_inode *gi)
{
	gmem_pager_destroy(gi->pager);
	gi->pager = NULL;
}

/* Whether the pager is open changes with pager->lock held too, but is opened only here. */
static int gmem_pager_open(struct gmem_pager *pager, pgoff_t start, pgoff_t nr, u64 flags)
{
	struct gmem_ranges_change change;
	int r;

	lockdep_assert_held_write(&gmem_mapping(pager->gi)->invalidate_lock);

	if (READ_ONCE(pager->flags) & GMEM_PAGER_OPEN)
		return -EBUSY;

	/* What is owed to this inode's VMs is not to be forgotten by a newcomer. */
	if (!(flags & KVM_GMEM_PAGER_TAKEOVER) && !gmem_ranges_empty(pager->owed))
		return -EBUSY;

	if (nr) {
		r = gmem_ranges_prepare(&change, pager->owed, start, start + nr - 1, GMEM_OWED);
		if (r)
			return r;
	}

	mutex_lock(&pager->lock);
	/* Before there is more that is owed: the pager before may have had FAIL. */
	WRITE_ONCE(pager->flags, flags | GMEM_PAGER_OPEN);
	smp_wmb(); /* pairs with gmem_pager_missing() */
	if (nr)
		gmem_ranges_commit(&change);
	gmem_events_unread(pager);
	mutex_unlock(&pager->lock);

	if (nr)
		gmem_ranges_finish(&change);
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
 * for and this is no takeover; -EPIPE without a view; -ENOMEM; -EINTR by a fatal signal.
 */
struct gmem_pager *gmem_pager_attach(struct gmem_inode *gi, pgoff_t start, pgoff_t nr, u64 flags)
{
	struct address_space *mapping = gmem_mapping(gi);
	struct gmem_pager *pager = NULL;
	int r = -EPIPE;

	if (!gmem_pager_of(gi)) {
		pager = gmem_pager_alloc(gi);
		if (!pager)
			return ERR_PTR(-ENOMEM);
	}

	if (gmem_lock_killable(mapping)) {
		gmem_pager_destroy(pager);
		return ERR_PTR(-EINTR);
	}
	if (!gmem_inode_is_gone(gi)) {
		if (!gi->pager) {
			/* Faults look for it without a lock. */
			smp_store_release(&gi->pager, pager);
		}
		r = gmem_pager_open(gi->pager, start, nr, flags);
	}
	filemap_invalidate_unlock(mapping);

	if (pager != gi->pager)
		gmem_pager_destroy(pager);
	return r ? ERR_PTR(r) : gi->pager;
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
	struct gmem_ring *ring;

	mutex_lock(&pager->lock);
	WRITE_ONCE(pager->flags, pager->flags & ~GMEM_PAGER_OPEN);
	ring = gmem_ring_remove(pager);
	mutex_unlock(&pager->lock);
	gmem_ring_put(ring);
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
	u64 flags;

	if (!pager)
		return 0;

	switch (gmem_ranges_get(pager->owed, index)) {
	case GMEM_OWED:
		smp_rmb(); /* not those of a pager before the one that owes it */
		/* Once: one pager may be gone, and the next one have FAIL. */
		flags = READ_ONCE(pager->flags);
		if (!(flags & GMEM_PAGER_OPEN) && flags & KVM_GMEM_PAGER_FAIL)
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
 * Context: Process context, may sleep.
 * Return: whether all of them are owed, failed or not; false also where a fatal signal ended a
 * look at more than one run of them.
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
		if (last - start >= nr - 1)
			return true;
		index = last + 1;
		cond_resched();
	} while (!fatal_signal_pending(current));
	return false;
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
 * gmem_pager_rounds() - how often waits without an event were to ask again
 * @gi: the inode, which has a pager
 *
 * Context: Any.
 * Return: a number that changes when those that wait without an event are to ask again.
 */
unsigned int gmem_pager_rounds(struct gmem_inode *gi)
{
	return READ_ONCE(gmem_pager_of(gi)->rounds);
}

/* One look: does the page take an event, and @event is its own now, if there is one? */
static bool gmem_pager_try_ask(struct gmem_pager *pager, pgoff_t index,
			       struct gmem_pager_event *event)
{
	guard(mutex)(&pager->lock);
	return gmem_pager_is_missing(pager, index) && gmem_events_ask(pager, index, event);
}

/**
 * gmem_pager_ask() - somebody needs a missing page
 * @gi: the inode
 * @index: page offset
 * @vm: who, as in fdinfo; 0: the host
 * @flags: KVM_GMEM_FAULT_*
 *
 * One event for a page, however many ask. An answer that comes before the
 * caller waits is no loss: it looks again before it sleeps. Where there is no room
 * for an event, gmem_pager_rounds() changes when the caller is to ask again.
 *
 * Context: Process context; no lock but kvm->srcu, vcpu->mutex or mmap_lock is held.
 * Return: 0 or -ENOMEM.
 */
int gmem_pager_ask(struct gmem_inode *gi, pgoff_t index, u32 vm, u32 flags)
{
	struct gmem_pager *pager = gmem_pager_of(gi);
	struct gmem_pager_event *event;

	if (!gmem_pager_try_ask(pager, index, NULL))
		return 0;

	/* The caller may be at its memory limit: nobody is to wait for that. */
	event = gmem_event_alloc(KVM_GMEM_EVENT_FAULT, index, 1);
	if (!event)
		return -ENOMEM;
	event->flags = flags;
	event->vm = vm;
	if (!gmem_pager_try_ask(pager, index, event))
		kfree(event);
	return 0;
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

	gmem_events_answered(pager, start, end);
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

/**
 * gmem_pager_set() - nobody is to ask for pages any more
 * @pager: the pager
 * @first: first page offset
 * @last: last page offset
 * @value: what they are from now on: GMEM_FAILED, or 0
 *
 * The caller wakes those that wait for them. Memory is allocated before pager->lock is
 * taken.
 *
 * Context: Process context; invalidate_lock is held for writing; or for reading, with
 * pager->failing.
 * Return: 0 or -ENOMEM.
 */
int gmem_pager_set(struct gmem_pager *pager, pgoff_t first, pgoff_t last,
		   unsigned long value)
{
	struct gmem_ranges_change change;
	int r;

	lockdep_assert(lockdep_is_held(&pager->failing) ||
		       lockdep_is_held_type(&gmem_mapping(pager->gi)->invalidate_lock, 0));

	r = gmem_ranges_prepare(&change, pager->owed, first, last, value);
	if (r)
		return r;

	mutex_lock(&pager->lock);
	gmem_ranges_commit(&change);
	mutex_unlock(&pager->lock);
	gmem_ranges_finish(&change);
	gmem_events_answered(pager, first, last + 1);
	return 0;
}

/* One piece: no page of it may stop being owed meanwhile, or be punched. */
static int gmem_pager_fail_piece(struct gmem_pager *pager, pgoff_t start, pgoff_t nr)
{
	struct address_space *mapping = gmem_mapping(pager->gi);
	int r = -ENOENT;

	if (mutex_lock_killable(&pager->failing))
		return -EINTR;
	if (gmem_lock_shared_killable(mapping)) {
		mutex_unlock(&pager->failing);
		return -EINTR;
	}

	if (gmem_pager_owes(pager->gi, start, nr))
		r = gmem_pager_set(pager, start, start + nr - 1, GMEM_FAILED);
	else if (fatal_signal_pending(current))
		r = -EINTR;

	filemap_invalidate_unlock_shared(mapping);
	mutex_unlock(&pager->failing);
	return r;
}

/**
 * gmem_pager_fail() - the pager can't serve a range
 * @pager: the pager
 * @start: first page offset
 * @nr: how many
 * @done: how many of them have failed, in any case
 *
 * A range with a page that is not owed is refused as a whole, unless that stops being owed while
 * this is at work. The locks are held for some 20 ms at most, where every other page is another
 * run.
 *
 * Context: Process context; takes invalidate_lock.
 * Return: 0; -ENOENT where a page of it is not owed; -ENOMEM; -EINTR by a fatal signal.
 */
int gmem_pager_fail(struct gmem_pager *pager, pgoff_t start, pgoff_t nr, pgoff_t *done)
{
	int r = 0;

	*done = 0;
	if (!gmem_pager_owes(pager->gi, start, nr))
		return fatal_signal_pending(current) ? -EINTR : -ENOENT;

	while (!r && *done < nr) {
		pgoff_t piece = min_t(pgoff_t, nr - *done, GMEM_FAIL_PIECE);

		r = gmem_pager_fail_piece(pager, start + *done, piece);
		if (!r)
			*done += piece;
	}
	gmem_waits_wake(pager, start, start + *done, NULL);
	return r;
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
	struct gmem_pager_event *event;
	int r;

	lockdep_assert_held_write(&gmem_mapping(gi)->invalidate_lock);

	if (!pager || start >= end || gmem_ranges_match(pager->owed, start, end - 1, ~0UL, 0))
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
	gmem_waits_wake(pager, start, end, NULL);
	return 0;
}
