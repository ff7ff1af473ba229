/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whoever gets a page next, after it was freed: somebody who still writes to it writes
 * to his.
 */
#ifndef GMEM_TESTS_REUSE_H
#define GMEM_TESTS_REUSE_H

#include <stdint.h>

/**
 * struct reuse - another inode, that takes the pages which this CPU has freed
 * @view: its view
 * @words: its memory, in the host
 * @npages: its size
 *
 * An inode, since the allocator keeps pages by whether they can be moved: memory of
 * the process itself would get others than those that an inode has freed.
 */
struct reuse {
	int view;
	uint64_t *words;
	uint64_t npages;
};

/* Skips where the host can't map an inode. */
void reuse_init(struct reuse *s, uint64_t npages);

/* Takes pages and marks each word. */
void reuse_take(struct reuse *s);

/* Fails where a word is not as it was marked; frees them. */
void reuse_give_back(struct reuse *s);

#endif /* GMEM_TESTS_REUSE_H */
