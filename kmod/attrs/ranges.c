// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges with values, on a maple tree: see ranges.h.
 */
#include <linux/slab.h>
#include <linux/xarray.h>

#include "ranges.h"

/**
 * gmem_ranges_alloc() - make an empty map
 *
 * Context: Process context, may sleep.
 * Return: the map, or NULL.
 */
struct gmem_ranges *gmem_ranges_alloc(void)
{
	struct gmem_ranges *ranges;

	ranges = kzalloc(sizeof(*ranges), GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return NULL;

	/*
	 * Not for its search for gaps, but for the layout of its nodes: of the
	 * other kind, mt_destroy_walk() of 6.12 takes a full node's last child
	 * for metadata and frees what it is not. A store over many ranges of a
	 * tree that has readers under RCU gets there.
	 *
	 * Which lock serialises writers changes when a map goes from one owner
	 * to the next: the owners assert it, not the tree.
	 */
	mt_init_flags(&ranges->tree,
		      MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU | MT_FLAGS_LOCK_EXTERN);
	mt_on_stack(ranges->tree);
	return ranges;
}

static void gmem_ranges_free_rcu(struct rcu_head *rcu)
{
	struct gmem_ranges *ranges = container_of(rcu, struct gmem_ranges, rcu);

	__mt_destroy(&ranges->tree);
	kfree(ranges);
}

/**
 * gmem_ranges_free() - free a map when no reader can be left
 * @ranges: no longer to be found by new readers; may be NULL
 *
 * Context: Any. The module's exit waits for the callback by rcu_barrier().
 */
void gmem_ranges_free(struct gmem_ranges *ranges)
{
	if (ranges)
		call_rcu(&ranges->rcu, gmem_ranges_free_rcu);
}

/**
 * gmem_ranges_get() - the value at an index
 * @ranges: the map
 * @index: where
 *
 * Context: Any; RCU or the owner's lock keeps @ranges.
 * Return: the value, 0 where there is none.
 */
unsigned long gmem_ranges_get(struct gmem_ranges *ranges, unsigned long index)
{
	void *entry = mtree_load(&ranges->tree, index);

	return entry ? xa_to_value(entry) : 0;
}

/**
 * gmem_ranges_get_range() - the value at an index, and how far it goes
 * @ranges: the map
 * @index: where
 * @first: where the first index goes that has the same value, without a border
 *	   up to @index
 * @last: likewise the last
 *
 * Context: as gmem_ranges_get().
 * Return: the value, 0 where there is none.
 */
unsigned long gmem_ranges_get_range(struct gmem_ranges *ranges, unsigned long index,
				    unsigned long *first, unsigned long *last)
{
	MA_STATE(mas, &ranges->tree, index, index);
	void *entry;

	rcu_read_lock();
	entry = mas_walk(&mas);
	rcu_read_unlock();

	*first = mas.index;
	*last = mas.last;
	return entry ? xa_to_value(entry) : 0;
}

/**
 * gmem_ranges_match() - does a whole range have a value?
 * @ranges: the map
 * @first: first index
 * @last: last index
 * @mask: bits of the value that count
 * @value: what they are to be
 *
 * Context: as gmem_ranges_get().
 * Return: true if (the value at each index & @mask) == @value.
 */
bool gmem_ranges_match(struct gmem_ranges *ranges, unsigned long first,
		       unsigned long last, unsigned long mask, unsigned long value)
{
	unsigned long start, end;

	for (;;) {
		if ((gmem_ranges_get_range(ranges, first, &start, &end) & mask) != value)
			return false;
		if (end >= last)
			return true;
		first = end + 1;
	}
}

/**
 * gmem_ranges_empty() - does nothing have a value?
 * @ranges: the map
 *
 * Context: The owner's lock.
 * Return: true if every value is 0.
 */
bool gmem_ranges_empty(struct gmem_ranges *ranges)
{
	return gmem_ranges_match(ranges, 0, ULONG_MAX, ~0UL, 0);
}

/**
 * gmem_ranges_prepare() - get ready to give a range a value
 * @change: for gmem_ranges_commit(), which has to follow, with no other change
 *	    of @ranges in between
 * @ranges: the map
 * @first: first index
 * @last: last index
 * @value: what it will be; at most LONG_MAX
 *
 * Context: Process context, may sleep; the owner's lock is held until the
 * change is committed.
 * Return: 0 or -ENOMEM, with nothing to undo.
 */
int gmem_ranges_prepare(struct gmem_ranges_change *change, struct gmem_ranges *ranges,
			unsigned long first, unsigned long last, unsigned long value)
{
	unsigned long start, end;

	change->entry = value ? xa_mk_value(value) : NULL;

	/* Become one with the neighbours that have the value already. */
	if (value && first &&
	    gmem_ranges_get_range(ranges, first - 1, &start, &end) == value)
		first = start;
	if (value && last != ULONG_MAX &&
	    gmem_ranges_get_range(ranges, last + 1, &start, &end) == value)
		last = end;

	mas_init(&change->mas, &ranges->tree, first);
	mas_set_range(&change->mas, first, last);
	return mas_preallocate(&change->mas, change->entry, GFP_KERNEL_ACCOUNT);
}

/**
 * gmem_ranges_commit() - make a prepared change
 * @change: from gmem_ranges_prepare()
 *
 * Context: The owner's lock.
 */
void gmem_ranges_commit(struct gmem_ranges_change *change)
{
	mas_store_prealloc(&change->mas, change->entry);
}
