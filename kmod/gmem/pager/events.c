// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events for a pager: what it is asked for, and what holes took from it.
 *
 * An event is unread, then unanswered, then gone. A fault's goes when there is
 * an answer, also before it was read; a removal's when it is read.
 *
 * There are at most KVM_GMEM_MAX_EVENTS of each type, whatever guests touch and
 * holes are punched while the pager does not read. A fault beyond that waits without
 * an event, and asks again when half of the others are answered. Removals are merged
 * where they adjoin; when there are too many, the next one is merged with its
 * neighbour and says that it covers pages between the two.
 */
#include <linux/ktime.h>
#include <linux/rbtree.h>

#include "../gmem.h"
#include "events.h"
#include "owed.h"
#include "ring.h"

/**
 * gmem_events_init() - no event yet
 * @pager: a new pager
 *
 * Context: Any.
 */
void gmem_events_init(struct gmem_pager *pager)
{
	INIT_LIST_HEAD(&pager->unread);
	INIT_LIST_HEAD(&pager->unanswered);
	pager->asked = RB_ROOT;
	pager->removed = RB_ROOT;
	init_waitqueue_head(&pager->readers);
}

static void gmem_events_free_list(struct list_head *events)
{
	struct gmem_pager_event *event, *next;

	list_for_each_entry_safe(event, next, events, entry)
		kfree(event);
}

/**
 * gmem_events_free() - free all events
 * @pager: a pager that nobody knows any more
 *
 * Context: Process context.
 */
void gmem_events_free(struct gmem_pager *pager)
{
	gmem_events_free_list(&pager->unread);
	gmem_events_free_list(&pager->unanswered);
}

/**
 * gmem_event_alloc() - make an event
 * @type: KVM_GMEM_EVENT_*
 * @start: first page offset
 * @nr: pages
 *
 * It is charged to the caller's cgroup, whose limit is not to hold up others.
 *
 * Context: Process context, may sleep; pager->lock is not held.
 * Return: the event, to be added or freed; NULL without memory.
 */
struct gmem_pager_event *gmem_event_alloc(u32 type, pgoff_t start, pgoff_t nr)
{
	struct gmem_pager_event *event = kzalloc(sizeof(*event), GFP_KERNEL_ACCOUNT);

	if (event) {
		event->type = type;
		event->start = start;
		event->nr = nr;
	}
	return event;
}

/* Page offsets to look for among events of one type, which are disjoint. */
struct gmem_event_key {
	pgoff_t start;
	pgoff_t end;
};

static int gmem_event_compare(const void *of, const struct rb_node *node)
{
	struct gmem_pager_event *event = rb_entry(node, struct gmem_pager_event, node);
	const struct gmem_event_key *key = of;

	return event->start + event->nr <= key->start ? 1 : event->start < key->end ? 0 : -1;
}

static bool gmem_event_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct gmem_pager_event, node)->start <
	       rb_entry(b, struct gmem_pager_event, node)->start;
}

/* An event that overlaps a range, or NULL. */
static struct gmem_pager_event *gmem_event_find(struct rb_root *events, pgoff_t start, pgoff_t end)
{
	const struct gmem_event_key key = { start, end };
	struct rb_node *node = rb_find(&key, events, gmem_event_compare);

	return node ? rb_entry(node, struct gmem_pager_event, node) : NULL;
}

static struct rb_root *gmem_events_of_type(struct gmem_pager *pager, u32 type)
{
	return type == KVM_GMEM_EVENT_FAULT ? &pager->asked : &pager->removed;
}

/* Takes an event from the pager's. It is to be freed. */
static void gmem_event_drop(struct gmem_pager *pager, struct gmem_pager_event *event)
{
	lockdep_assert_held(&pager->lock);

	rb_erase(&event->node, gmem_events_of_type(pager, event->type));
	list_del(&event->entry);
	if (event->type == KVM_GMEM_EVENT_REMOVE) {
		pager->nr_removed--;
		return;
	}

	pager->nr_asked--;
	/* At half of them, so that not every answer wakes all who are to ask again. */
	if (pager->crowded && pager->nr_asked <= KVM_GMEM_MAX_EVENTS / 2) {
		pager->crowded = false;
		WRITE_ONCE(pager->rounds, pager->rounds + 1);
		gmem_pager_wake(pager->gi);
	}
}

static void gmem_events_add(struct gmem_pager *pager, struct gmem_pager_event *event)
{
	lockdep_assert_held(&pager->lock);

	rb_add(&event->node, gmem_events_of_type(pager, event->type), gmem_event_less);
	event->when = ktime_get_ns();
	list_add_tail(&event->entry, &pager->unread);
	gmem_ring_put_events(pager);
	wake_up(&pager->readers);
}

/**
 * gmem_events_ask() - somebody needs a missing page
 * @pager: the pager, which owes it
 * @index: page offset
 * @event: an event for it, or NULL
 *
 * Context: Any; pager->lock is held.
 * Return: true where @event is the pager's from now on, or would be.
 */
bool gmem_events_ask(struct gmem_pager *pager, pgoff_t index, struct gmem_pager_event *event)
{
	lockdep_assert_held(&pager->lock);

	if (gmem_event_find(&pager->asked, index, index + 1))
		return false;

	if (pager->nr_asked >= KVM_GMEM_MAX_EVENTS) {
		pager->crowded = true;
		return false;
	}
	if (event) {
		pager->nr_asked++;
		gmem_events_add(pager, event);
	}
	return true;
}

/* Events that are dropped or merged before others get at them. */
#define GMEM_EVENTS_BATCH	256

/* Moves some of the faults in a range to @dropped. Returns whether there may be more. */
static bool gmem_events_drop_some(struct gmem_pager *pager, pgoff_t start, pgoff_t end,
				  struct list_head *dropped)
{
	struct gmem_pager_event *event;

	guard(mutex)(&pager->lock);
	for (unsigned int n = 0; n < GMEM_EVENTS_BATCH; n++) {
		event = gmem_event_find(&pager->asked, start, end);
		if (!event)
			return false;
		gmem_event_drop(pager, event);
		list_add(&event->entry, dropped);
	}
	return true;
}

/**
 * gmem_events_answered() - nobody asks for pages any more
 * @pager: the pager
 * @start: first page offset
 * @end: page offset after the last
 *
 * Context: Process context, may sleep; takes pager->lock, and lets it go now and then.
 * The pages are there, or can't be asked for.
 */
void gmem_events_answered(struct gmem_pager *pager, pgoff_t start, pgoff_t end)
{
	LIST_HEAD(dropped);
	bool more;

	do {
		more = gmem_events_drop_some(pager, start, end, &dropped);
		gmem_events_free_list(&dropped);
		INIT_LIST_HEAD(&dropped);
		cond_resched();
	} while (more);
}

/* A removal that is in order before those from @start on, else the first one; or NULL. */
static struct gmem_pager_event *gmem_events_neighbour(struct gmem_pager *pager, pgoff_t start)
{
	struct rb_node *node = pager->removed.rb_node, *before = rb_first(&pager->removed);

	while (node) {
		if (rb_entry(node, struct gmem_pager_event, node)->start < start) {
			before = node;
			node = node->rb_right;
		} else {
			node = node->rb_left;
		}
	}
	return before ? rb_entry(before, struct gmem_pager_event, node) : NULL;
}

/* @event covers @old too, which goes to @merged. */
static void gmem_events_merge(struct gmem_pager *pager, struct gmem_pager_event *event,
			      struct gmem_pager_event *old, struct list_head *merged)
{
	pgoff_t end = max(event->start + event->nr, old->start + old->nr);

	event->start = min(event->start, old->start);
	event->nr = end - event->start;
	event->flags |= old->flags;
	gmem_event_drop(pager, old);
	list_add(&old->entry, merged);
}

/* An unread removal that overlaps @event or adjoins it, or NULL. */
static struct gmem_pager_event *gmem_events_adjoining(struct gmem_pager *pager,
						      const struct gmem_pager_event *event)
{
	return gmem_event_find(&pager->removed, event->start ? event->start - 1 : 0,
			       event->start + event->nr + 1);
}

/* @event adjoins no other any more. */
static void gmem_events_add_merged(struct gmem_pager *pager, struct gmem_pager_event *event,
				   struct list_head *merged)
{
	if (pager->nr_removed >= KVM_GMEM_MAX_EVENTS) {
		event->flags |= KVM_GMEM_REMOVE_PARTLY;
		gmem_events_merge(pager, event, gmem_events_neighbour(pager, event->start),
				  merged);
	}
	pager->nr_removed++;
	gmem_events_add(pager, event);
}

/* Returns whether there may be more to merge with; if not, @event is the pager's. */
static bool gmem_events_merge_some(struct gmem_pager *pager, struct gmem_pager_event *event,
				   struct list_head *merged)
{
	struct gmem_pager_event *old;

	guard(mutex)(&pager->lock);
	for (unsigned int n = 0; n < GMEM_EVENTS_BATCH; n++) {
		old = gmem_events_adjoining(pager, event);
		if (!old) {
			gmem_events_add_merged(pager, event, merged);
			return false;
		}
		gmem_events_merge(pager, event, old, merged);
	}
	return true;
}

/**
 * gmem_events_add_removal() - a hole was punched
 * @pager: the pager
 * @event: says where; it is the pager's from now on
 *
 * While pager->lock is let go, nobody knows of what was merged into @event: a pager that reads
 * there is told a moment later.
 *
 * Context: Process context, may sleep; takes pager->lock, and lets it go now and then.
 * invalidate_lock is held for writing: nobody else adds a removal.
 */
void gmem_events_add_removal(struct gmem_pager *pager, struct gmem_pager_event *event)
{
	LIST_HEAD(merged);
	bool more;

	lockdep_assert_held_write(&gmem_mapping(pager->gi)->invalidate_lock);

	do {
		more = gmem_events_merge_some(pager, event, &merged);
		gmem_events_free_list(&merged);
		INIT_LIST_HEAD(&merged);
		cond_resched();
	} while (more);
}

/**
 * gmem_events_unread() - all that was not answered is news to the next pager
 * @pager: the pager
 *
 * Context: Any; pager->lock is held.
 */
void gmem_events_unread(struct gmem_pager *pager)
{
	lockdep_assert_held(&pager->lock);

	/* What was read came before what was not. */
	list_splice_init(&pager->unanswered, &pager->unread);
}

static void gmem_event_describe(const struct gmem_pager_event *event, struct kvm_gmem_event *out)
{
	*out = (struct kvm_gmem_event){
		.type = event->type,
		.flags = event->flags,
		.offset = (u64)event->start << PAGE_SHIFT,
		.size = (u64)event->nr << PAGE_SHIFT,
		.when = event->when,
		.vm = event->vm,
	};
}

/* The pager has it. */
static void gmem_event_is_read(struct gmem_pager *pager, struct gmem_pager_event *event)
{
	if (event->type == KVM_GMEM_EVENT_FAULT) {
		list_move_tail(&event->entry, &pager->unanswered);
		return;
	}
	gmem_event_drop(pager, event);
	kfree(event);
}

/**
 * gmem_events_take() - the pager reads the oldest event
 * @pager: the pager
 * @out: where it goes
 *
 * Context: Any; pager->lock is held.
 * Return: whether there was one.
 */
bool gmem_events_take(struct gmem_pager *pager, struct kvm_gmem_event *out)
{
	struct gmem_pager_event *event;

	lockdep_assert_held(&pager->lock);

	event = list_first_entry_or_null(&pager->unread, struct gmem_pager_event, entry);
	if (!event)
		return false;

	gmem_event_describe(event, out);
	gmem_event_is_read(pager, event);
	return true;
}

/**
 * gmem_events_begin_read() - the pager is about to read the oldest events
 * @pager: the pager, which is open until gmem_events_end_read()
 * @taken: an empty list, for those that are read
 * @out: where they go
 * @max: at most so many
 *
 * Nobody else reads them meanwhile. Those that are answered meanwhile leave @taken.
 *
 * Context: Any; pager->lock is held.
 * Return: how many.
 */
unsigned int gmem_events_begin_read(struct gmem_pager *pager, struct list_head *taken,
				    struct kvm_gmem_event *out, unsigned int max)
{
	struct gmem_pager_event *event, *next;
	unsigned int n = 0;

	lockdep_assert_held(&pager->lock);

	list_for_each_entry_safe(event, next, &pager->unread, entry) {
		if (n == max)
			break;
		gmem_event_describe(event, &out[n]);
		event->place = n++;
		list_move_tail(&event->entry, taken);
	}
	return n;
}

/**
 * gmem_events_end_read() - the pager has read events
 * @pager: the pager
 * @taken: from gmem_events_begin_read()
 * @read: how many of them reached it; the others are unread, and the oldest, as before
 *
 * Context: Any; pager->lock is held.
 */
void gmem_events_end_read(struct gmem_pager *pager, struct list_head *taken, unsigned int read)
{
	struct gmem_pager_event *event, *next;

	lockdep_assert_held(&pager->lock);

	list_for_each_entry_safe(event, next, taken, entry) {
		if (event->place < read)
			gmem_event_is_read(pager, event);
	}
	if (list_empty(taken))
		return;

	list_splice(taken, &pager->unread);
	gmem_ring_put_events(pager);
	wake_up(&pager->readers);
}
