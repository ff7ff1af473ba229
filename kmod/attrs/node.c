// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nodes of a map's radix tree: see node.h.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "node.h"

static struct kmem_cache *gmem_node_cache;

/**
 * gmem_node_cache_init() - get ready for nodes
 *
 * Context: Module load.
 * Return: 0 or -ENOMEM.
 */
int gmem_node_cache_init(void)
{
	gmem_node_cache = KMEM_CACHE(gmem_node, SLAB_ACCOUNT);
	return gmem_node_cache ? 0 : -ENOMEM;
}

/**
 * gmem_node_cache_exit() - no node will be needed
 *
 * Context: Module unload: all are freed, or will be after a grace period, for which
 * this waits.
 */
void gmem_node_cache_exit(void)
{
	kmem_cache_destroy(gmem_node_cache);
}

/**
 * gmem_node_alloc() - make a node
 * @parent: the node whose entry it will be, or NULL
 * @shift: how many blocks a slot has, as a power of two
 * @entry: that of all its slots
 *
 * Context: Process context, may sleep.
 * Return: the node, which readers do not find yet, or NULL.
 */
struct gmem_node *gmem_node_alloc(struct gmem_node *parent, unsigned int shift, void *entry)
{
	struct gmem_node *node = kmem_cache_alloc(gmem_node_cache, GFP_KERNEL_ACCOUNT);

	if (!node)
		return NULL;

	node->parent = parent;
	node->shift = shift;
	for (unsigned int i = 0; i < GMEM_NODE_SLOTS; i++)
		RCU_INIT_POINTER(node->slots[i], entry);
	return node;
}

/**
 * gmem_node_free() - free a node that new readers do not find any more
 * @node: the node; what its entries point to is the caller's
 *
 * Context: Any.
 */
void gmem_node_free(struct gmem_node *node)
{
	kfree_rcu(node, rcu);
}

/**
 * gmem_blocks_free() - free blocks that new readers do not find any more
 * @blocks: the first of a list
 *
 * Context: Process context, may sleep.
 */
void gmem_blocks_free(struct gmem_block *blocks)
{
	struct gmem_block *next;

	for (; blocks; blocks = next) {
		next = blocks->next;
		kfree_rcu(blocks, rcu);
	}
}

/**
 * gmem_nodes_free() - free nodes and all that is below them
 * @nodes: the first of a list
 * @readers: there may still be some, who found them before
 *
 * It rests after each node: there may be a great many.
 *
 * Context: Process context, may sleep.
 */
void gmem_nodes_free(struct gmem_node *nodes, bool readers)
{
	struct gmem_node *node, *child;
	void *entry;

	while (nodes) {
		node = nodes;
		nodes = node->next;
		for (unsigned int i = 0; i < GMEM_NODE_SLOTS; i++) {
			entry = gmem_node_entry(node, i);
			if (!gmem_entry_is_pointer(entry))
				continue;
			if (node->shift) {
				child = entry;
				child->next = nodes;
				nodes = child;
			} else if (readers) {
				kfree_rcu((struct gmem_block *)entry, rcu);
			} else {
				kfree(entry);
			}
		}
		if (readers)
			gmem_node_free(node);
		else
			kmem_cache_free(gmem_node_cache, node);
		cond_resched();
	}
}
