/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A page whose first touch waits until it is let go: an ioctl that copies to
 * or from it stands still there, with the locks that it holds.
 */
#ifndef GMEM_TESTS_STALL_H
#define GMEM_TESTS_STALL_H

#include <stddef.h>

/**
 * struct stall - such a page
 * @page: its address
 * @uffd: the userfaultfd that holds it back
 */
struct stall {
	void *page;
	int uffd;
};

void stall_init(struct stall *s);
/* Waits until somebody waits for the page. */
void stall_wait(struct stall *s);
/* Gives the page: @content, or all zeroes. */
void stall_let_go(struct stall *s, const void *content, size_t size);

#endif /* GMEM_TESTS_STALL_H */
