/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A page whose first touch waits until it is let go: an ioctl that copies to
 * or from it stands still there, with the locks that it holds.
 */
#ifndef GMEM_TESTS_BLOCKED_PAGE_H
#define GMEM_TESTS_BLOCKED_PAGE_H

#include <stddef.h>

/**
 * struct blocked_page - such a page
 * @page: its address
 * @uffd: the userfaultfd that holds it back
 */
struct blocked_page {
	void *page;
	int uffd;
};

void blocked_page_init(struct blocked_page *s);
/* Waits until somebody waits for the page. */
void blocked_page_wait(struct blocked_page *s);
/* Gives the page: @content, or all zeroes. */
void blocked_page_let_go(struct blocked_page *s, const void *content, size_t size);

#endif /* GMEM_TESTS_BLOCKED_PAGE_H */
