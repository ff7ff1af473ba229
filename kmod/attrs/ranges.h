/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ranges with values: a map from unsigned long to small values, kept and changed
 * by ranges. It starts with the value 0 everywhere.
 *
 * Indexes are kept by blocks of 512, as many as there are pages in 2 MiB. Blocks
 * are entries of a radix tree (node.h), in which 64, 4096, ... of them that have one
 * value are one entry. A block with several values keeps a field of bits for each
 * index (block.h). So a map costs by the borders of its ranges, of which each takes
 * one node a level at most, and where they are dense it costs a bit or two an index.
 *
 * Readers need RCU only, and see for each index the value from before a change
 * in flight or from after it. Writers are serialised by the owner's lock. A
 * change is three steps, of which the first can fail and the others cannot:
 *
 *	r = gmem_ranges_prepare(&change, ranges, first, last, value);
 *	if (r)
 *		return r;
 *	...
 *	gmem_ranges_commit(&change);
 *	...
 *	gmem_ranges_finish(&change);
 */
#ifndef __KVM_ATTRS_RANGES_H
#define __KVM_ATTRS_RANGES_H

#include <linux/workqueue.h>

#include "block.h"

struct gmem_node;

/**
 * struct gmem_ranges - the map
 * @root: of the tree. What it does not have has the value 0; if it is NULL, all has
 * @field: how blocks keep their values; constant
 * @free: frees the map after a grace period
 */
struct gmem_ranges {
	struct gmem_node __rcu *root;
	struct gmem_field field;
	struct rcu_work free;
};

/**
 * struct gmem_ranges_change - a change that is prepared
 * @ranges: the map
 * @first: first index
 * @last: last index
 * @value: what it will be
 * @nodes: what it took from the tree, to be freed
 * @blocks: likewise
 */
struct gmem_ranges_change {
	struct gmem_ranges *ranges;
	unsigned long first;
	unsigned long last;
	unsigned long value;
	struct gmem_node *nodes;
	struct gmem_block *blocks;
};

/**
 * struct gmem_ranges_walk - a walk over a map, piece by piece
 * @first: the piece's first index
 * @last: its last index
 * @mixed: it is part of a block with several values
 * @value: the piece's value, unless @mixed
 * @next: where the next piece begins, unless @done
 * @done: the piece is the last one
 * @end: last index of the walk
 * @ranges: the map
 */
struct gmem_ranges_walk {
	unsigned long first;
	unsigned long last;
	bool mixed;
	unsigned long value;
	unsigned long next;
	bool done;
	unsigned long end;
	const struct gmem_ranges *ranges;
};

int gmem_ranges_init(void);
void gmem_ranges_exit(void);

struct gmem_ranges *gmem_ranges_alloc(unsigned long mask);
void gmem_ranges_free(struct gmem_ranges *ranges);

unsigned long gmem_ranges_get(struct gmem_ranges *ranges, unsigned long index);
unsigned long gmem_ranges_get_run(struct gmem_ranges *ranges, unsigned long index,
				  unsigned long *last);
bool gmem_ranges_match(struct gmem_ranges *ranges, unsigned long first,
		       unsigned long last, unsigned long mask, unsigned long value);
bool gmem_ranges_empty(struct gmem_ranges *ranges);

void gmem_ranges_walk_begin(struct gmem_ranges_walk *walk, struct gmem_ranges *ranges,
			    unsigned long first, unsigned long last);
bool gmem_ranges_walk_next(struct gmem_ranges_walk *walk);

int gmem_ranges_prepare(struct gmem_ranges_change *change, struct gmem_ranges *ranges,
			unsigned long first, unsigned long last, unsigned long value);
void gmem_ranges_commit(struct gmem_ranges_change *change);
void gmem_ranges_finish(struct gmem_ranges_change *change);
int gmem_ranges_set(struct gmem_ranges *ranges, unsigned long first, unsigned long last,
		    unsigned long value);

#endif /* __KVM_ATTRS_RANGES_H */
