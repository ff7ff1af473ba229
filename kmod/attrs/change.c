// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of maps of ranges: see ranges.h.
 *
 * To prepare a change is to make the tree such that the range begins and ends
 * with an entry, or inside a block: entries and blocks are split, and have the
 * values that they had. This is what needs memory. Committing it then
 * replaces values in their places, in the tree's nodes and in blocks. Finishing
 * it makes one entry of what has become one range; where there is no memory for
 * that, there are more entries than needed, and nothing else is wrong.
 */
#include <linux/slab.h>

#include "entry.h"

#define GFP_TIDY	(GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN)

/* The entry of blocks that have a value. */
static void *gmem_entry_of(unsigned long value)
{
	return value ? xa_mk_value(value) : NULL;
}

/* An explicit entry for the value 0 while a change is made: NULL might be merged. */
static void *gmem_entry_explicit(void *entry)
{
	return entry ? : xa_mk_value(0);
}

static int gmem_ranges_store(struct gmem_ranges *ranges, unsigned long first, unsigned long last,
			     void *entry, gfp_t gfp)
{
	MA_STATE(mas, &ranges->tree, first, last);

	return mas_store_gfp(&mas, entry, gfp);
}

/*
 * The block with that number in @block, made if there is none; NULL if all of it
 * has @value already.
 */
static int gmem_ranges_split_block(struct gmem_ranges *ranges, unsigned long number,
				   unsigned long value, struct gmem_block **block)
{
	void *entry = mtree_load(&ranges->tree, number);
	int r;

	*block = gmem_entry_block(entry);
	if (*block || gmem_entry_value(entry) == value)
		return 0;

	*block = gmem_block_alloc(ranges->field, gmem_entry_value(entry));
	if (!*block)
		return -ENOMEM;

	r = gmem_ranges_store(ranges, number, number, *block, GFP_KERNEL_ACCOUNT);
	if (r)
		kfree(*block);
	return r;
}

/*
 * Let an entry begin with block @first, and one end with block @last; but one of
 * @value, which stays as it is, may stick out.
 */
static int gmem_ranges_split_entries(struct gmem_ranges *ranges, unsigned long first,
				     unsigned long last, unsigned long value)
{
	MA_STATE(mas, &ranges->tree, first, first);
	void *entry = mas_walk(&mas);
	int r;

	if (mas.index < first && gmem_entry_value(entry) != value) {
		r = gmem_ranges_store(ranges, first, min(mas.last, last),
				      gmem_entry_explicit(entry), GFP_KERNEL_ACCOUNT);
		if (r)
			return r;
	}

	mas_set(&mas, last);
	entry = mas_walk(&mas);
	if (mas.last > last && gmem_entry_value(entry) != value)
		return gmem_ranges_store(ranges, max(mas.index, first), last,
					 gmem_entry_explicit(entry), GFP_KERNEL_ACCOUNT);
	return 0;
}

/* The blocks that a change has as a whole: from @first up to, not including, @end. */
static void gmem_change_whole_blocks(const struct gmem_ranges_change *change,
				     unsigned long *first, unsigned long *end)
{
	*first = gmem_block_number(change->first);
	if (gmem_block_offset(change->first))
		++*first;
	*end = gmem_block_number(change->last);
	if (gmem_block_offset(change->last) == GMEM_BLOCK_SIZE - 1)
		++*end;
}

/**
 * gmem_ranges_prepare() - get ready to give a range a value
 * @change: for gmem_ranges_commit(), which has to follow, with no other change
 *	    of @ranges in between
 * @ranges: the map
 * @first: first index
 * @last: last index
 * @value: what it will be, of the bits that @ranges was made for
 *
 * Context: Process context, may sleep; the owner's lock is held until the
 * change is finished.
 * Return: 0 or -ENOMEM, with nothing to undo.
 */
int gmem_ranges_prepare(struct gmem_ranges_change *change, struct gmem_ranges *ranges,
			unsigned long first, unsigned long last, unsigned long value)
{
	unsigned long head = gmem_block_number(first), tail = gmem_block_number(last);
	unsigned long from, end;
	int r = 0;

	*change = (struct gmem_ranges_change) {
		.ranges = ranges, .first = first, .last = last, .value = value,
	};
	gmem_change_whole_blocks(change, &from, &end);

	if (head < from || head >= end)
		r = gmem_ranges_split_block(ranges, head, value, &change->head);
	if (!r && tail >= end && tail != head)
		r = gmem_ranges_split_block(ranges, tail, value, &change->tail);
	if (!r && from < end)
		r = gmem_ranges_split_entries(ranges, from, end - 1, value);
	return r;
}

static void gmem_ranges_commit_blocks(struct gmem_ranges *ranges, unsigned long first,
				      unsigned long last, unsigned long value)
{
	MA_STATE(mas, &ranges->tree, first, first);
	struct gmem_block *block;
	void *entry;

	entry = mas_walk(&mas);
	for (;;) {
		block = gmem_entry_block(entry);
		if (block) {
			gmem_block_set(block, ranges->field, 0, GMEM_BLOCK_SIZE - 1, value);
		} else if (gmem_entry_value(entry) != value) {
			/* In place of an entry with the same borders: this takes no memory. */
			mas_store(&mas, xa_mk_value(value));
			WARN_ON_ONCE(mas_is_err(&mas));
		}
		if (mas.last >= last)
			break;
		entry = mas_next_range(&mas, last);
		cond_resched();
	}
}

/**
 * gmem_ranges_commit() - make a prepared change
 * @change: from gmem_ranges_prepare()
 *
 * Context: Process context, may sleep; the owner's lock. gmem_ranges_finish() has
 * to follow.
 */
void gmem_ranges_commit(struct gmem_ranges_change *change)
{
	struct gmem_ranges *ranges = change->ranges;
	unsigned long first, end;

	if (change->head)
		gmem_block_set(change->head, ranges->field, gmem_block_offset(change->first),
			       change->last > gmem_block_last(gmem_block_number(change->first)) ?
			       GMEM_BLOCK_SIZE - 1 : gmem_block_offset(change->last),
			       change->value);
	if (change->tail)
		gmem_block_set(change->tail, ranges->field, 0, gmem_block_offset(change->last),
			       change->value);

	gmem_change_whole_blocks(change, &first, &end);
	if (first < end)
		gmem_ranges_commit_blocks(ranges, first, end - 1, change->value);
}

/*
 * The last of some entries from @first on, up to @last, whose blocks are put in
 * front of @blocks.
 */
static unsigned long gmem_ranges_collect(struct gmem_ranges *ranges, unsigned long first,
					 unsigned long last, struct gmem_block **blocks)
{
	MA_STATE(mas, &ranges->tree, first, first);
	void *entry = mas_walk(&mas);
	struct gmem_block *block;

	for (int i = 0;;) {
		block = gmem_entry_block(entry);
		if (block) {
			block->next = *blocks;
			*blocks = block;
		}
		if (mas.last >= last)
			return last;
		if (++i == GMEM_ENTRIES_AT_ONCE)
			return mas.last;
		entry = mas_next_range(&mas, last);
	}
}

/*
 * Make blocks from @first to @last one entry, all of which have @value. Not at
 * once, where that is many: the tree frees nodes where it must not take long.
 */
static void gmem_ranges_merge(struct gmem_ranges *ranges, unsigned long first,
			      unsigned long last, unsigned long value)
{
	struct gmem_block *blocks, *next;
	unsigned long end, start = first;

	do {
		blocks = NULL;
		end = gmem_ranges_collect(ranges, start, last, &blocks);
		if (gmem_ranges_store(ranges, first, end, gmem_entry_of(value), GFP_TIDY))
			return;
		for (; blocks; blocks = next) {
			next = blocks->next;
			kfree_rcu(blocks, rcu);
		}
		start = end + 1;
		cond_resched();
	} while (end < last);
}

/* Has the block become one of many with its value? */
static bool gmem_change_filled(const struct gmem_ranges_change *change, struct gmem_block *block)
{
	unsigned long value;

	return block && gmem_block_is_uniform(block, change->ranges->field, &value);
}

/**
 * gmem_ranges_finish() - tidy up after a change
 * @change: from gmem_ranges_commit()
 *
 * Context: Process context, may sleep; the owner's lock.
 */
void gmem_ranges_finish(struct gmem_ranges_change *change)
{
	MA_STATE(mas, &change->ranges->tree, 0, 0);
	unsigned long value = change->value;
	unsigned long first, end, last;

	gmem_change_whole_blocks(change, &first, &end);
	/* Where the range is part of one block, @end is not after it yet. */
	if (gmem_change_filled(change, change->head)) {
		first = gmem_block_number(change->first);
		end = max(end, first + 1);
	}
	if (gmem_change_filled(change, change->tail))
		end = gmem_block_number(change->last) + 1;
	if (first >= end)
		return;

	/* Become one with the neighbours that have the value already. */
	if (first) {
		mas_set(&mas, first - 1);
		if (mas_walk(&mas) == xa_mk_value(value))
			first = mas.index;
	}
	mas_set(&mas, min(end, GMEM_LAST_BLOCK));
	last = mas_walk(&mas) == xa_mk_value(value) ? mas.last : end - 1;

	mas_set(&mas, first);
	if (mas_walk(&mas) != gmem_entry_of(value) || mas.last < last)
		gmem_ranges_merge(change->ranges, first, last, value);
}

/**
 * gmem_ranges_set() - give a range a value
 * @ranges: the map
 * @first: first index
 * @last: last index
 * @value: what it will be, of the bits that @ranges was made for
 *
 * Context: Process context, may sleep; the owner's lock.
 * Return: 0 or -ENOMEM with nothing changed.
 */
int gmem_ranges_set(struct gmem_ranges *ranges, unsigned long first, unsigned long last,
		    unsigned long value)
{
	struct gmem_ranges_change change;
	int r = gmem_ranges_prepare(&change, ranges, first, last, value);

	if (r)
		return r;

	gmem_ranges_commit(&change);
	gmem_ranges_finish(&change);
	return 0;
}
