/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Content that fills a page, as operation.h says; for the host and for guests.
 */
#ifndef GMEM_TESTS_CONTENT_H
#define GMEM_TESTS_CONTENT_H

#include "processor.h"
#include "operation.h"

#define CONTENT_WORDS	(PAGE_SIZE / sizeof(uint64_t))

static inline uint64_t content_word(uint64_t content, unsigned long i)
{
	return content ? content + i : 0;
}

static inline void content_put(volatile uint64_t *page, uint64_t content)
{
	for (unsigned long i = 0; i < CONTENT_WORDS; i++)
		page[i] = content_word(content, i);
}

/* What is in a page whose first word was loaded. */
static inline uint64_t content_look(const volatile uint64_t *page, uint64_t first)
{
	for (unsigned long i = 1; i < CONTENT_WORDS; i++) {
		if (page[i] != content_word(first, i))
			return SEES_TORN;
	}
	return first % PAGE_SIZE ? SEES_TORN : first;
}

#endif /* GMEM_TESTS_CONTENT_H */
