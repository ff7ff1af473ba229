// SPDX-License-Identifier: GPL-2.0-only
/*
 * Maps of ranges with values, as they are made, read and freed: see ranges.h.
 */
#include <linux/log2.h>
#include <linux/slab.h>

#include "entry.h"

/* Frees maps. It waits for nothing, but takes time by a map's size. */
static struct workqueue_struct *gmem_ranges_wq;

/**
 * gmem_ranges_init() - get ready for maps
 *
 * Context: Module load.
 * Return: 0 or -ENOMEM.
 */
int gmem_ranges_init(void)
{
	gmem_ranges_wq = alloc_workqueue("gmem_ranges", WQ_UNBOUND, 0);
	return gmem_ranges_wq ? 0 : -ENOMEM;
}

/**
 * gmem_ranges_exit() - wait until all maps are freed
 *
 * Context: Module unload: no map is in use.
 */
void gmem_ranges_exit(void)
{
	/* Work is queued after a grace period. */
	rcu_barrier();
	destroy_workqueue(gmem_ranges_wq);
}

/*
 * Frees each entry's block, and now and then erases from the tree what was freed:
 * __mt_destroy() would walk all of a large tree without a rest. Without memory for
 * that, it does walk all of it.
 */
static void gmem_ranges_free_entries(struct maple_tree *tree)
{
	MA_STATE(mas, tree, 0, 0);
	unsigned long next = 0;
	void *entry;

	do {
		mas_set(&mas, next);
		for (int i = 0; i < GMEM_ENTRIES_AT_ONCE; i++) {
			entry = mas_find(&mas, ULONG_MAX);
			if (!entry)
				return;
			kfree(gmem_entry_block(entry));
		}
		next = mas.last + 1;
		mas_set_range(&mas, 0, mas.last);
		mas_store_gfp(&mas, NULL, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
		cond_resched();
	} while (next);
}

static void gmem_ranges_free_work(struct work_struct *work)
{
	struct gmem_ranges *ranges = container_of(to_rcu_work(work), struct gmem_ranges, free);

	/* No reader is left for whom nodes would have to stay. */
	mt_clear_in_rcu(&ranges->tree);
	gmem_ranges_free_entries(&ranges->tree);
	__mt_destroy(&ranges->tree);
	kfree(ranges);
}

/**
 * gmem_ranges_alloc() - make an empty map
 * @mask: the bits that its values may have
 *
 * Context: Process context, may sleep.
 * Return: the map, or NULL.
 */
struct gmem_ranges *gmem_ranges_alloc(unsigned long mask)
{
	struct gmem_ranges *ranges;

	ranges = kzalloc(sizeof(*ranges), GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return NULL;

	ranges->field.shift = __ffs(mask);
	ranges->field.width = roundup_pow_of_two(fls_long(mask) - ranges->field.shift);
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
	INIT_RCU_WORK(&ranges->free, gmem_ranges_free_work);
	return ranges;
}

/**
 * gmem_ranges_free() - free a map when no reader can be left
 * @ranges: no longer to be found by new readers; may be NULL
 *
 * Context: Any. gmem_ranges_exit() waits for it.
 */
void gmem_ranges_free(struct gmem_ranges *ranges)
{
	if (ranges)
		queue_rcu_work(gmem_ranges_wq, &ranges->free);
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
	struct gmem_block *block;
	void *entry;

	guard(rcu)();
	entry = mtree_load(&ranges->tree, gmem_block_number(index));
	block = gmem_entry_block(entry);
	return block ? gmem_block_get(block, ranges->field, gmem_block_offset(index)) :
		       gmem_entry_value(entry);
}

/**
 * gmem_ranges_get_run() - the value at an index, and how far it goes
 * @ranges: the map
 * @index: where
 * @last: where the last index goes up to which all have the value; the one after
 *	  it may have it too
 *
 * Context: as gmem_ranges_get().
 * Return: the value, 0 where there is none.
 */
unsigned long gmem_ranges_get_run(struct gmem_ranges *ranges, unsigned long index,
				  unsigned long *last)
{
	MA_STATE(mas, &ranges->tree, gmem_block_number(index), gmem_block_number(index));
	struct gmem_block *block;
	unsigned long value;
	void *entry;

	guard(rcu)();
	entry = mas_walk(&mas);
	block = gmem_entry_block(entry);
	if (!block) {
		*last = gmem_block_last(mas.last);
		return gmem_entry_value(entry);
	}
	value = gmem_block_get(block, ranges->field, gmem_block_offset(index));
	*last = gmem_block_first(mas.index) - 1 +
		gmem_block_run(block, ranges->field, gmem_block_offset(index), ~0UL, value);
	return value;
}

/* Do all indexes of an entry have a value, but those that are not in [@first, @last]? */
static bool gmem_ranges_match_entry(struct ma_state *mas, struct gmem_field field, void *entry,
				    unsigned long first, unsigned long last,
				    unsigned long mask, unsigned long value)
{
	struct gmem_block *block = gmem_entry_block(entry);

	if (!block)
		return (gmem_entry_value(entry) & mask) == value;

	first = max(first, gmem_block_first(mas->index));
	last = min(last, gmem_block_last(mas->index));
	return gmem_block_run(block, field, gmem_block_offset(first), mask, value) >
	       gmem_block_offset(last);
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
	MA_STATE(mas, &ranges->tree, gmem_block_number(first), gmem_block_number(first));
	unsigned long end = gmem_block_number(last);
	void *entry;

	if (value & ~(mask & gmem_field_mask(ranges->field)))
		return false;

	guard(rcu)();
	entry = mas_walk(&mas);
	while (gmem_ranges_match_entry(&mas, ranges->field, entry, first, last, mask, value)) {
		if (mas.last >= end)
			return true;
		entry = mas_next_range(&mas, end);
	}
	return false;
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
 * gmem_ranges_walk_begin() - start to go through a range in one pass
 * @walk: the walk, for gmem_ranges_walk_next()
 * @ranges: the map
 * @first: first index
 * @last: last index
 *
 * Context: The owner's lock, up to the end of the walk; nothing changes meanwhile.
 */
void gmem_ranges_walk_begin(struct gmem_ranges_walk *walk, struct gmem_ranges *ranges,
			    unsigned long first, unsigned long last)
{
	walk->field = ranges->field;
	walk->first = first;
	walk->end = last;
	mas_init(&walk->mas, &ranges->tree, gmem_block_number(first));
}

/**
 * gmem_ranges_walk_next() - the next piece
 * @walk: the walk, which then has the piece
 *
 * A piece is in one block if it is @mixed, else it can be of any size; the one
 * after it may have the same value.
 *
 * Context: as gmem_ranges_walk_begin().
 * Return: false at the end.
 */
bool gmem_ranges_walk_next(struct gmem_ranges_walk *walk)
{
	unsigned long end = gmem_block_number(walk->end);
	struct gmem_block *block;
	void *entry;

	if (walk->mas.status == ma_start) {
		entry = mas_walk(&walk->mas);
	} else {
		if (walk->last >= walk->end)
			return false;
		walk->first = walk->last + 1;
		entry = mas_next_range(&walk->mas, end);
	}
	walk->last = min(walk->end, gmem_block_last(walk->mas.last));

	block = gmem_entry_block(entry);
	if (block) {
		walk->mixed = !gmem_block_is_uniform(block, walk->field, &walk->value);
	} else {
		walk->mixed = false;
		walk->value = gmem_entry_value(entry);
	}
	return true;
}
