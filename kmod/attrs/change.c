// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of maps of ranges: see ranges.h.
 *
 * To prepare a change is to make the tree such that the range begins and ends with
 * a slot, or inside a block: slots that stick out are split, and what they are split
 * into has the value that they had. This is what needs memory. Committing it then
 * replaces entries by the value, with all that was below them, and fields of blocks.
 * Finishing it frees that, and makes one entry of what has become one value. So after
 * each change the tree has no block or node, the root aside, all of whose indexes
 * have one value.
 */
#include <linux/slab.h>

#include "node.h"

/* Put a new root above the old one, whose slots may all have one value. */
static void gmem_ranges_set_root(struct gmem_ranges *ranges, struct gmem_node *node)
{
	struct gmem_node *old = rcu_dereference_raw(ranges->root);
	void *entry = old ? gmem_node_entry(old, 0) : NULL;
	bool merge = old && !gmem_entry_is_pointer(entry) && gmem_node_is_uniform(old, entry);

	RCU_INIT_POINTER(node->slots[0], merge ? entry : old);
	rcu_assign_pointer(ranges->root, node);
	if (merge)
		gmem_node_free(old);
	else if (old)
		old->parent = node;
}

/* Let the root have a block. */
static int gmem_ranges_grow(struct gmem_ranges *ranges, unsigned long number)
{
	struct gmem_node *root, *node;
	unsigned int shift;

	while (!gmem_ranges_root(ranges, number)) {
		root = rcu_dereference_raw(ranges->root);
		if (root)
			shift = root->shift + GMEM_NODE_SHIFT;
		else
			shift = number ? rounddown(__fls(number), GMEM_NODE_SHIFT) : 0;
		node = gmem_node_alloc(NULL, shift, NULL);
		if (!node)
			return -ENOMEM;
		gmem_ranges_set_root(ranges, node);
	}
	return 0;
}

/* Does the range have all of a slot? */
static bool gmem_change_covers(const struct gmem_ranges_change *change,
			       const struct gmem_node *node, unsigned long number)
{
	return gmem_slot_first(node, number) >= change->first &&
	       gmem_slot_last(node, number) <= change->last;
}

/* Split slots with one end of the range until none sticks out that is to change. */
static int gmem_ranges_split(struct gmem_ranges_change *change, unsigned long index)
{
	struct gmem_field field = change->ranges->field;
	unsigned long number = gmem_block_number(index);
	struct gmem_node *node = gmem_ranges_root(change->ranges, number);
	void *entry, *part;
	unsigned int slot;

	for (; node && !gmem_change_covers(change, node, number); node = entry) {
		slot = gmem_node_slot(node, number);
		entry = gmem_node_entry(node, slot);
		if (!gmem_entry_is_pointer(entry)) {
			if (gmem_entry_value(entry) == change->value)
				return 0;
			if (node->shift)
				part = gmem_node_alloc(node, node->shift - GMEM_NODE_SHIFT, entry);
			else
				part = gmem_block_alloc(field, gmem_entry_value(entry));
			if (!part)
				return -ENOMEM;
			rcu_assign_pointer(node->slots[slot], part);
			entry = part;
		}
		if (!node->shift)
			return 0;
	}
	return 0;
}

/* Make one entry of a block, and of nodes above it, where all has one value. */
static void gmem_ranges_merge(struct gmem_ranges *ranges, unsigned long index)
{
	unsigned long value, number = gmem_block_number(index);
	struct gmem_node *node, *parent;
	struct gmem_block *block;
	void *entry;

	entry = gmem_ranges_find(ranges, number, &node);
	block = gmem_entry_block(entry);
	if (block) {
		if (!gmem_block_is_uniform(block, ranges->field, &value))
			return;
		entry = gmem_entry_of(value);
		rcu_assign_pointer(node->slots[gmem_node_slot(node, number)], entry);
		kfree_rcu(block, rcu);
	}

	for (; node && gmem_node_is_uniform(node, entry); node = parent) {
		parent = node->parent;
		/* The root stays, so that a page that goes to and fro does not make it anew. */
		if (!parent)
			return;
		rcu_assign_pointer(parent->slots[gmem_node_slot(parent, number)], entry);
		gmem_node_free(node);
	}
}

static void gmem_change_merge(const struct gmem_ranges_change *change)
{
	gmem_ranges_merge(change->ranges, change->first);
	if (gmem_block_number(change->first) != gmem_block_number(change->last))
		gmem_ranges_merge(change->ranges, change->last);
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
	int r = 0;

	*change = (struct gmem_ranges_change) {
		.ranges = ranges, .first = first, .last = last, .value = value,
	};

	if (value)
		r = gmem_ranges_grow(ranges, gmem_block_number(last));
	if (!r)
		r = gmem_ranges_split(change, first);
	if (!r && gmem_block_number(first) != gmem_block_number(last))
		r = gmem_ranges_split(change, last);
	if (r)
		gmem_change_merge(change);
	return r;
}

/* Replace an entry by the value. What was there is for gmem_ranges_finish() to free. */
static void gmem_change_replace(struct gmem_ranges_change *change, struct gmem_node *node,
				unsigned int slot)
{
	void *entry = gmem_node_entry(node, slot);
	struct gmem_block *block;
	struct gmem_node *child;

	rcu_assign_pointer(node->slots[slot], gmem_entry_of(change->value));
	if (!gmem_entry_is_pointer(entry))
		return;
	if (node->shift) {
		child = entry;
		child->next = change->nodes;
		change->nodes = child;
	} else {
		block = entry;
		block->next = change->blocks;
		change->blocks = block;
	}
}

/* Of one node, replace what the range has from a block on. The last index of it. */
static unsigned long gmem_change_replace_slots(struct gmem_ranges_change *change,
					       struct gmem_node *node, unsigned long number)
{
	unsigned int slot = gmem_node_slot(node, number);
	unsigned long last = gmem_slot_last(node, number);

	for (;;) {
		gmem_change_replace(change, node, slot);
		if (++slot == GMEM_NODE_SLOTS ||
		    change->last - last < BIT(node->shift + GMEM_BLOCK_SHIFT))
			return last;
		last += BIT(node->shift + GMEM_BLOCK_SHIFT);
	}
}

/* Change what one node has from an index on. The last index of it. */
static unsigned long gmem_ranges_commit_at(struct gmem_ranges_change *change, unsigned long index)
{
	unsigned long last, number = gmem_block_number(index);
	struct gmem_node *node = gmem_ranges_root(change->ranges, number);
	void *entry;

	for (; node; node = entry) {
		if (gmem_change_covers(change, node, number))
			return gmem_change_replace_slots(change, node, number);

		last = gmem_slot_last(node, number);
		entry = gmem_node_entry(node, gmem_node_slot(node, number));
		/* What sticks out and was not split has the value already. */
		if (!gmem_entry_is_pointer(entry))
			return last;
		if (!node->shift) {
			gmem_block_set(entry, change->ranges->field, gmem_block_offset(index),
				       gmem_block_offset(min(last, change->last)),
				       change->value);
			return last;
		}
	}
	/* Behind the root all is 0, and stays it. */
	return ULONG_MAX;
}

/**
 * gmem_ranges_commit() - make a prepared change
 * @change: from gmem_ranges_prepare()
 *
 * At most 63 slots of each level change at each of the two ends, whatever is in the
 * range: this takes no rest.
 *
 * Context: The owner's lock. gmem_ranges_finish() has to follow.
 */
void gmem_ranges_commit(struct gmem_ranges_change *change)
{
	unsigned long last = gmem_ranges_commit_at(change, change->first);

	while (last < change->last)
		last = gmem_ranges_commit_at(change, last + 1);
}

/**
 * gmem_ranges_finish() - tidy up after a change
 * @change: from gmem_ranges_commit()
 *
 * Context: Process context, may sleep; the owner's lock.
 */
void gmem_ranges_finish(struct gmem_ranges_change *change)
{
	gmem_change_merge(change);
	gmem_blocks_free(change->blocks);
	gmem_nodes_free(change->nodes, true);
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
