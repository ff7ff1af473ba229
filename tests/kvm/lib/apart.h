/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two pages side by side that are never there at once: a touch of one brings it and takes the
 * other away. What reads one page of content across both is told of each that it can be read, and
 * finds the other one gone, each time.
 */
#ifndef GMEM_TESTS_APART_H
#define GMEM_TESTS_APART_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct apart - two such pages
 * @pages: their address
 * @content: what they bring
 * @uffd: the userfaultfd that brings them
 * @thread: serves that
 * @touches: how many there were
 * @patience: after as many both stay
 */
struct apart {
	char *pages;
	const char *content;
	int uffd;
	pthread_t thread;
	volatile unsigned long touches;
	unsigned long patience;
};

/* With the two pages at @content. */
void apart_begin(struct apart *a, const void *content, unsigned long patience);

#endif /* GMEM_TESTS_APART_H */
