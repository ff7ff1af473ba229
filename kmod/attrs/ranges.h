/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ranges with values: a map from unsigned long to small non-zero values, kept
 * and changed by ranges. What is in no range has the value 0. Neighbours with
 * the same value are one range, so that cost follows the number of borders.
 *
 * Readers need RCU only, and may see a change in flight as done or not done.
 * Writers are serialised by the owner's lock; a change is two steps, of which
 * the first can fail and the second can't:
 *
 *	r = gmem_ranges_prepare(&change, ranges, first, last, value);
 *	if (r)
 *		return r;
 *	...
 *	gmem_ranges_commit(&change);
 */
#ifndef __KVM_GMEM_RANGES_H
#define __KVM_GMEM_RANGES_H

#include <linux/maple_tree.h>
#include <linux/rcupdate.h>

/**
 * struct gmem_ranges - the map
 * @tree: values by index
 * @rcu: frees the map after a grace period
 */
struct gmem_ranges {
	struct maple_tree tree;
	struct rcu_head rcu;
};

/**
 * struct gmem_ranges_change - a change that is prepared
 * @mas: where, with all memory that it takes
 * @entry: what
 */
struct gmem_ranges_change {
	struct ma_state mas;
	void *entry;
};

struct gmem_ranges *gmem_ranges_alloc(void);
void gmem_ranges_free(struct gmem_ranges *ranges);

unsigned long gmem_ranges_get(struct gmem_ranges *ranges, unsigned long index);
unsigned long gmem_ranges_get_range(struct gmem_ranges *ranges, unsigned long index,
				    unsigned long *first, unsigned long *last);
bool gmem_ranges_match(struct gmem_ranges *ranges, unsigned long first,
		       unsigned long last, unsigned long mask, unsigned long value);
bool gmem_ranges_empty(struct gmem_ranges *ranges);

int gmem_ranges_prepare(struct gmem_ranges_change *change, struct gmem_ranges *ranges,
			unsigned long first, unsigned long last, unsigned long value);
void gmem_ranges_commit(struct gmem_ranges_change *change);

#endif /* __KVM_GMEM_RANGES_H */
