// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events for a pager: what it is asked for, and what holes took from it.
 *
 * An event is unread, then unanswered, then gone. A fault's goes when there is
 * an answer, also before it was read; a removal's when it is read.
 */
#include <linux/ktime.h>
#include <linux/rbtree.h>

#include "gmem.h"
#include "pager.h"
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
 * Context: Process context, may sleep.
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

/* Page offsets to look for in gmem_pager.asked. */
struct gmem_asked_key {
	pgoff_t start;
	pgoff_t end;
};

static int gmem_asked_compare(const void *of, const struct rb_node *node)
{
	const struct gmem_asked_key *key = of;
	pgoff_t start = rb_entry(node, struct gmem_pager_event, node)->start;

	return start < key->start ? 1 : start < key->end ? 0 : -1;
}

static bool gmem_asked_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct gmem_pager_event, node)->start <
	       rb_entry(b, struct gmem_pager_event, node)->start;
}

/* A fault on one of these pages, or NULL. */
static struct gmem_pager_event *gmem_asked_find(struct gmem_pager *pager, pgoff_t start,
						pgoff_t end)
{
	const struct gmem_asked_key key = { start, end };
	struct rb_node *node;

	lockdep_assert_held(&pager->lock);

	node = rb_find(&key, &pager->asked, gmem_asked_compare);
	return node ? rb_entry(node, struct gmem_pager_event, node) : NULL;
}

static void gmem_events_add(struct gmem_pager *pager, struct gmem_pager_event *event)
{
	lockdep_assert_held(&pager->lock);

	event->when = ktime_get_ns();
	list_add_tail(&event->entry, &pager->unread);
	gmem_ring_put_events(pager);
	wake_up(&pager->readers);
}

/**
 * gmem_events_ask() - somebody needs a missing page
 * @pager: the pager, which owes it
 * @index: page offset
 * @vm: who, as in fdinfo; 0: the host
 * @flags: KVM_GMEM_FAULT_*
 *
 * Context: Process context, may sleep; pager->lock is held.
 * Return: 0, also where there is such an event; -ENOMEM.
 */
int gmem_events_ask(struct gmem_pager *pager, pgoff_t index, u32 vm, u32 flags)
{
	struct gmem_pager_event *event;

	if (gmem_asked_find(pager, index, index + 1))
		return 0;

	event = gmem_event_alloc(KVM_GMEM_EVENT_FAULT, index, 1);
	if (!event)
		return -ENOMEM;

	rb_add(&event->node, &pager->asked, gmem_asked_less);
	event->flags = flags;
	event->vm = vm;
	gmem_events_add(pager, event);
	return 0;
}

/**
 * gmem_events_answered() - nobody asks for pages any more
 * @pager: the pager
 * @start: first page offset
 * @end: page offset after the last
 *
 * Context: Process context; pager->lock is held.
 */
void gmem_events_answered(struct gmem_pager *pager, pgoff_t start, pgoff_t end)
{
	struct gmem_pager_event *event;

	while ((event = gmem_asked_find(pager, start, end))) {
		rb_erase(&event->node, &pager->asked);
		list_del(&event->entry);
		kfree(event);
	}
}

/* The last event goes further, where it is a removal too and was not read. */
static bool gmem_events_extend_removal(struct gmem_pager *pager,
				       const struct gmem_pager_event *event)
{
	pgoff_t start = event->start, end = event->start + event->nr;
	struct gmem_pager_event *last;

	if (list_empty(&pager->unread))
		return false;

	last = list_last_entry(&pager->unread, struct gmem_pager_event, entry);
	if (last->type != KVM_GMEM_EVENT_REMOVE || start > last->start + last->nr ||
	    end < last->start)
		return false;

	end = max(end, last->start + last->nr);
	last->start = min(start, last->start);
	last->nr = end - last->start;
	return true;
}

/**
 * gmem_events_add_removal() - a hole was punched
 * @pager: the pager
 * @event: says where; it is the pager's from now on
 *
 * Context: Process context; pager->lock is held.
 */
void gmem_events_add_removal(struct gmem_pager *pager, struct gmem_pager_event *event)
{
	if (gmem_events_extend_removal(pager, event))
		kfree(event);
	else
		gmem_events_add(pager, event);
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

	*out = (struct kvm_gmem_event){
		.type = event->type,
		.flags = event->flags,
		.offset = (u64)event->start << PAGE_SHIFT,
		.size = (u64)event->nr << PAGE_SHIFT,
		.when = event->when,
		.vm = event->vm,
	};

	if (event->type == KVM_GMEM_EVENT_REMOVE) {
		list_del(&event->entry);
		kfree(event);
	} else {
		list_move_tail(&event->entry, &pager->unanswered);
	}
	return true;
}
