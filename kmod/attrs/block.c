// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks: see block.h.
 */
#include <linux/bitops.h>
#include <linux/slab.h>

#include "block.h"

static unsigned int gmem_block_words(struct gmem_field field)
{
	return GMEM_BLOCK_SIZE * field.width / BITS_PER_LONG;
}

/* A word of which each field has @value. */
static unsigned long gmem_block_fill(struct gmem_field field, unsigned long value)
{
	return ~0UL / GENMASK(field.width - 1, 0) * (value >> field.shift);
}

/**
 * gmem_block_alloc() - make a block
 * @field: how it keeps its values
 * @value: that of all its indexes
 *
 * Context: Process context, may sleep.
 * Return: the block, or NULL.
 */
struct gmem_block *gmem_block_alloc(struct gmem_field field, unsigned long value)
{
	struct gmem_block *block;

	block = kmalloc(struct_size(block, words, gmem_block_words(field)), GFP_KERNEL_ACCOUNT);
	if (!block)
		return NULL;

	for (unsigned int i = 0; i < gmem_block_words(field); i++)
		block->words[i] = gmem_block_fill(field, value);
	return block;
}

/**
 * gmem_block_get() - a value
 * @block: the block
 * @field: how it keeps its values
 * @index: in the block
 *
 * Context: Any; RCU or the owner's lock keeps @block.
 * Return: the value.
 */
unsigned long gmem_block_get(const struct gmem_block *block, struct gmem_field field,
			     unsigned int index)
{
	unsigned int bit = index * field.width;
	unsigned long word = READ_ONCE(block->words[BIT_WORD(bit)]);

	return (word >> (bit % BITS_PER_LONG) & GENMASK(field.width - 1, 0)) << field.shift;
}

/**
 * gmem_block_run() - how far do indexes have a value?
 * @block: the block
 * @field: how it keeps its values
 * @index: the first, in the block
 * @mask: bits of the value that count
 * @value: what they are to be
 *
 * Context: as gmem_block_get().
 * Return: the first index from @index on with another value, or GMEM_BLOCK_SIZE.
 */
unsigned int gmem_block_run(const struct gmem_block *block, struct gmem_field field,
			    unsigned int index, unsigned long mask, unsigned long value)
{
	unsigned long counts = gmem_block_fill(field, mask & gmem_field_mask(field));
	unsigned long fill = gmem_block_fill(field, value);
	unsigned int bit = index * field.width;
	unsigned int i = BIT_WORD(bit);
	unsigned long differ;

	/* Of the first word, what is from @index on. */
	differ = (READ_ONCE(block->words[i]) ^ fill) & counts & (~0UL << bit % BITS_PER_LONG);
	while (!differ) {
		if (++i == gmem_block_words(field))
			return GMEM_BLOCK_SIZE;
		differ = (READ_ONCE(block->words[i]) ^ fill) & counts;
	}
	return (i * BITS_PER_LONG + __ffs(differ)) / field.width;
}

/**
 * gmem_block_set() - give a range a value
 * @block: the block
 * @field: how it keeps its values
 * @first: first index, in the block
 * @last: last index, in the block
 * @value: what it will be
 *
 * Context: The owner's lock. Readers under RCU see a word's indexes change at once.
 */
void gmem_block_set(struct gmem_block *block, struct gmem_field field, unsigned int first,
		    unsigned int last, unsigned long value)
{
	unsigned long fill = gmem_block_fill(field, value);
	unsigned int begin = first * field.width;
	unsigned int end = (last + 1) * field.width;
	unsigned long *word, changes;

	for (unsigned int bit = begin; bit < end; bit = round_up(bit + 1, BITS_PER_LONG)) {
		word = &block->words[BIT_WORD(bit)];
		changes = ~0UL << bit % BITS_PER_LONG;
		if (BIT_WORD(bit) == BIT_WORD(end))
			changes &= ~(~0UL << end % BITS_PER_LONG);
		WRITE_ONCE(*word, (*word & ~changes) | (fill & changes));
	}
}
