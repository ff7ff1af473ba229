// SPDX-License-Identifier: GPL-2.0-only
/*
 * Maps of ranges with values, as they are made, read and freed: see ranges.h.
 */
#include <linux/log2.h>
#include <linux/slab.h>

#include "node.h"

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
	int r = gmem_node_cache_init();

	if (r)
		return r;

	gmem_ranges_wq = alloc_workqueue("gmem_ranges", WQ_UNBOUND, 0);
	if (!gmem_ranges_wq)
		gmem_node_cache_exit();
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
	gmem_node_cache_exit();
}

static void gmem_ranges_free_work(struct work_struct *work)
{
	struct gmem_ranges *ranges = container_of(to_rcu_work(work), struct gmem_ranges, free);
	struct gmem_node *root = rcu_dereference_raw(ranges->root);

	if (root) {
		root->next = NULL;
		gmem_nodes_free(root, false);
	}
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
	struct gmem_node *node;
	void *entry;

	guard(rcu)();
	entry = gmem_ranges_find(ranges, gmem_block_number(index), &node);
	block = gmem_entry_block(entry);
	return block ? gmem_block_get(block, ranges->field, gmem_block_offset(index)) :
		       gmem_entry_value(entry);
}

/* How far slots of one node in a row, or all that is behind the root, have an entry. */
static unsigned long gmem_ranges_run(const struct gmem_node *node, unsigned long number,
				     void *entry)
{
	unsigned long last = ULONG_MAX;

	if (!node)
		return last;

	last = gmem_slot_last(node, number);
	for (unsigned int slot = gmem_node_slot(node, number) + 1;
	     slot < GMEM_NODE_SLOTS && gmem_node_entry(node, slot) == entry; slot++) {
		if (last == ULONG_MAX)
			break;
		last += BIT(node->shift + GMEM_BLOCK_SHIFT);
	}
	return last;
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
	unsigned int offset = gmem_block_offset(index);
	struct gmem_block *block;
	struct gmem_node *node;
	unsigned long value;
	void *entry;

	guard(rcu)();
	entry = gmem_ranges_find(ranges, gmem_block_number(index), &node);
	block = gmem_entry_block(entry);
	if (!block) {
		*last = gmem_ranges_run(node, gmem_block_number(index), entry);
		return gmem_entry_value(entry);
	}
	value = gmem_block_get(block, ranges->field, offset);
	*last = index - offset - 1 +
		gmem_block_run(block, ranges->field, offset, ~0UL, value);
	return value;
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
	unsigned long index = first, number, end;
	struct gmem_block *block;
	struct gmem_node *node;
	void *entry;

	if (value & ~(mask & gmem_field_mask(ranges->field)))
		return false;

	guard(rcu)();
	for (;; index = end + 1) {
		number = gmem_block_number(index);
		entry = gmem_ranges_find(ranges, number, &node);
		block = gmem_entry_block(entry);
		if (block) {
			end = min(last, index | (GMEM_BLOCK_SIZE - 1));
			if (gmem_block_run(block, ranges->field, gmem_block_offset(index),
					   mask, value) <= gmem_block_offset(end))
				return false;
		} else {
			if ((gmem_entry_value(entry) & mask) != value)
				return false;
			end = gmem_ranges_run(node, number, entry);
		}
		if (end >= last)
			return true;
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
	struct gmem_node *root = rcu_dereference_raw(ranges->root);

	return !root || gmem_node_is_uniform(root, NULL);
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
	*walk = (struct gmem_ranges_walk) {
		.ranges = ranges, .next = first, .end = last,
	};
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
	unsigned long number = gmem_block_number(walk->next);
	struct gmem_node *node;
	void *entry;

	if (walk->done)
		return false;

	walk->first = walk->next;
	entry = gmem_ranges_find(walk->ranges, number, &node);
	walk->mixed = gmem_entry_block(entry);
	if (walk->mixed) {
		walk->last = walk->first | (GMEM_BLOCK_SIZE - 1);
	} else {
		walk->value = gmem_entry_value(entry);
		walk->last = gmem_ranges_run(node, number, entry);
	}
	walk->last = min(walk->last, walk->end);
	walk->next = walk->last + 1;
	walk->done = walk->last == walk->end;
	return true;
}
