/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entries of a map's tree: what ranges.c and change.c share.
 */
#ifndef __KVM_ATTRS_ENTRY_H
#define __KVM_ATTRS_ENTRY_H

#include <linux/minmax.h>
#include <linux/xarray.h>

#include "ranges.h"

#define GMEM_LAST_BLOCK		(ULONG_MAX >> GMEM_BLOCK_SHIFT)

/* Of how many entries the tree lets go at once; more follow after a rest. */
#define GMEM_ENTRIES_AT_ONCE	64

/* The block, or NULL where all indexes have one value. */
static inline struct gmem_block *gmem_entry_block(void *entry)
{
	return xa_is_value(entry) ? NULL : entry;
}

/* The value, of an entry that is no block. */
static inline unsigned long gmem_entry_value(void *entry)
{
	return entry ? xa_to_value(entry) : 0;
}

static inline unsigned long gmem_block_number(unsigned long index)
{
	return index >> GMEM_BLOCK_SHIFT;
}

static inline unsigned int gmem_block_offset(unsigned long index)
{
	return index & (GMEM_BLOCK_SIZE - 1);
}

/* The first index of a block. */
static inline unsigned long gmem_block_first(unsigned long number)
{
	return number << GMEM_BLOCK_SHIFT;
}

/* The last index of a block; what is behind the last block is no block. */
static inline unsigned long gmem_block_last(unsigned long number)
{
	return min(number, GMEM_LAST_BLOCK) << GMEM_BLOCK_SHIFT | (GMEM_BLOCK_SIZE - 1);
}

#endif /* __KVM_ATTRS_ENTRY_H */
