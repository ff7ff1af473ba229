/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks: the values of 512 indexes, as many as there are pages in 2 MiB, each
 * in a field of a few bits. See ranges.h.
 *
 * A field lies in one word, and words are read and written as a whole. So a
 * reader without a lock sees a value from before a change or from after it.
 */
#ifndef __KVM_ATTRS_BLOCK_H
#define __KVM_ATTRS_BLOCK_H

#include <linux/bits.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#define GMEM_BLOCK_SHIFT	9
#define GMEM_BLOCK_SIZE		BIT(GMEM_BLOCK_SHIFT)

/**
 * struct gmem_block - the values of 512 indexes
 * @rcu: frees it
 * @next: in a list of blocks that are about to be freed
 * @words: the values
 */
struct gmem_block {
	union {
		struct rcu_head rcu;
		struct gmem_block *next;
	};
	unsigned long words[];
};

/**
 * struct gmem_field - how blocks of one map keep their values
 * @shift: the lowest bit of a value that counts
 * @width: how many bits count; a power of two
 */
struct gmem_field {
	unsigned int shift;
	unsigned int width;
};

/* The bits of a value that are kept. */
static inline unsigned long gmem_field_mask(struct gmem_field field)
{
	return GENMASK(field.shift + field.width - 1, field.shift);
}

struct gmem_block *gmem_block_alloc(struct gmem_field field, unsigned long value);
unsigned long gmem_block_get(const struct gmem_block *block, struct gmem_field field,
			     unsigned int index);
unsigned int gmem_block_run(const struct gmem_block *block, struct gmem_field field,
			    unsigned int index, unsigned long mask, unsigned long value);
void gmem_block_set(struct gmem_block *block, struct gmem_field field, unsigned int first,
		    unsigned int last, unsigned long value);

/* Do all of a block's indexes have one value? */
static inline bool gmem_block_is_uniform(const struct gmem_block *block, struct gmem_field field,
					 unsigned long *value)
{
	*value = gmem_block_get(block, field, 0);
	return gmem_block_run(block, field, 0, ~0UL, *value) == GMEM_BLOCK_SIZE;
}

#endif /* __KVM_ATTRS_BLOCK_H */
