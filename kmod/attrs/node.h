/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nodes of a map's radix tree. See ranges.h.
 *
 * A node has 64 slots of one size, a power of 64 in blocks. A slot's entry is one
 * value for all of it; or a node of smaller slots; or, where a slot is one block, a
 * struct gmem_block. Entries are replaced as a whole: a reader under RCU sees the one
 * before or the one after.
 */
#ifndef __KVM_ATTRS_NODE_H
#define __KVM_ATTRS_NODE_H

#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/xarray.h>

#include "ranges.h"

#define GMEM_NODE_SHIFT		6
#define GMEM_NODE_SLOTS		BIT(GMEM_NODE_SHIFT)

#define GMEM_LAST_BLOCK		(ULONG_MAX >> GMEM_BLOCK_SHIFT)

/**
 * struct gmem_node - a node
 * @rcu: frees it
 * @next: in a list of nodes that are about to be freed
 * @parent: the node whose entry it is, NULL for the root; for writers
 * @shift: a slot has 1 << @shift blocks; constant
 * @slots: the entries
 */
struct gmem_node {
	union {
		struct rcu_head rcu;
		struct gmem_node *next;
	};
	struct gmem_node *parent;
	unsigned int shift;
	void __rcu *slots[GMEM_NODE_SLOTS];
};

/* A value as an entry; 0 is what a slot has to begin with. */
static inline void *gmem_entry_of(unsigned long value)
{
	return value ? xa_mk_value(value) : NULL;
}

/* The value, of an entry that is one. */
static inline unsigned long gmem_entry_value(void *entry)
{
	return entry ? xa_to_value(entry) : 0;
}

/* Is it a node, or a block? */
static inline bool gmem_entry_is_pointer(void *entry)
{
	return entry && !xa_is_value(entry);
}

/* The block, of an entry from gmem_ranges_find(); NULL where that is a value. */
static inline struct gmem_block *gmem_entry_block(void *entry)
{
	return gmem_entry_is_pointer(entry) ? entry : NULL;
}

static inline unsigned long gmem_block_number(unsigned long index)
{
	return index >> GMEM_BLOCK_SHIFT;
}

static inline unsigned int gmem_block_offset(unsigned long index)
{
	return index & (GMEM_BLOCK_SIZE - 1);
}

/* Which slot of a node has the block? */
static inline unsigned int gmem_node_slot(const struct gmem_node *node, unsigned long number)
{
	return number >> node->shift & (GMEM_NODE_SLOTS - 1);
}

/* The first index of the slot that has the block. */
static inline unsigned long gmem_slot_first(const struct gmem_node *node, unsigned long number)
{
	return number >> node->shift << (node->shift + GMEM_BLOCK_SHIFT);
}

/* Its last one. */
static inline unsigned long gmem_slot_last(const struct gmem_node *node, unsigned long number)
{
	return gmem_slot_first(node, number) | (BIT(node->shift + GMEM_BLOCK_SHIFT) - 1);
}

/* An entry. RCU keeps what it points to, or the owner's lock, which is not known here. */
static inline void *gmem_node_entry(const struct gmem_node *node, unsigned int slot)
{
	return rcu_dereference_raw(node->slots[slot]);
}

/* Do all slots have one entry? */
static inline bool gmem_node_is_uniform(const struct gmem_node *node, void *entry)
{
	for (unsigned int i = 0; i < GMEM_NODE_SLOTS; i++) {
		if (gmem_node_entry(node, i) != entry)
			return false;
	}
	return true;
}

/* The root, if it has the block: what is behind it has the value 0. */
static inline struct gmem_node *gmem_ranges_root(const struct gmem_ranges *ranges,
						 unsigned long number)
{
	struct gmem_node *root = rcu_dereference_raw(ranges->root);

	return root && number >> root->shift < GMEM_NODE_SLOTS ? root : NULL;
}

/**
 * gmem_ranges_find() - the entry of a block
 * @ranges: the map
 * @number: the block's
 * @node: where the node goes whose entry it is; NULL behind the root
 *
 * Context: RCU or the owner's lock.
 * Return: the value of a slot that has the block, or the struct gmem_block.
 */
static inline void *gmem_ranges_find(const struct gmem_ranges *ranges, unsigned long number,
				     struct gmem_node **node)
{
	void *entry;

	*node = gmem_ranges_root(ranges, number);
	if (!*node)
		return NULL;

	for (;;) {
		entry = gmem_node_entry(*node, gmem_node_slot(*node, number));
		if (!(*node)->shift || !gmem_entry_is_pointer(entry))
			return entry;
		*node = entry;
	}
}

int gmem_node_cache_init(void);
void gmem_node_cache_exit(void);

struct gmem_node *gmem_node_alloc(struct gmem_node *parent, unsigned int shift, void *entry);
void gmem_node_free(struct gmem_node *node);
void gmem_nodes_free(struct gmem_node *nodes, bool readers);
void gmem_blocks_free(struct gmem_block *blocks);

#endif /* __KVM_ATTRS_NODE_H */
