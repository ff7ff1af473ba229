/* SPDX-License-Identifier: MIT */
/* A bit for each page of an image. */
#ifndef VMM_COMMON_PAGE_BITS_H
#define VMM_COMMON_PAGE_BITS_H

#include <stdbool.h>
#include <stdint.h>

static inline bool page_is_set(const unsigned char *bits, uint32_t page)
{
	return bits[page / 8] & 1 << page % 8;
}

static inline void page_set(unsigned char *bits, uint32_t page, bool to)
{
	if (to)
		bits[page / 8] |= 1 << page % 8;
	else
		bits[page / 8] &= ~(1 << page % 8);
}

#endif /* VMM_COMMON_PAGE_BITS_H */
