/* SPDX-License-Identifier: MIT */
/*
 * What of an image is to be read next when nobody waits for a page: what is around those
 * that were asked for, then the working set, then the rest.
 */
#ifndef VMM_AHEAD_H
#define VMM_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "memory-image.h"
#include "working-set.h"

#define AHEAD_WINDOWS	128U

/*
 * struct ahead - how far it has been looked at
 * @image: the image
 * @set: its working set
 * @window: pages that are given together when one of them is asked for
 * @fill: what nobody has asked for is given too, when there is time
 * @settled: the server's: a bit a page: nothing is to be done for it any more
 * @reading: the server's: a bit a page: it is being read
 * @windows, @window_head, @window_tail: windows around what was asked for, that are to
 *	be read
 * @at_set, @at_page: how far the working set and the rest have been looked at
 * @at, @end: pages of all these that are looked at now
 * @dry: there is nothing to read ahead, until something else happens
 */
struct ahead {
	const struct image *image;
	const struct working_set *set;
	uint32_t window;
	bool fill;
	const unsigned char *settled;
	const unsigned char *reading;
	uint32_t windows[AHEAD_WINDOWS];
	uint32_t window_head;
	uint32_t window_tail;
	uint32_t at_set;
	uint32_t at_page;
	uint32_t at;
	uint32_t end;
	bool dry;
};

/* Nothing is to be done for the page, or all that can be done now. */
bool ahead_is_taken(const struct ahead *ahead, uint32_t page);

/* The aligned window around a page is to be read. */
void ahead_want_window(struct ahead *ahead, uint32_t page);
bool ahead_wants_window(const struct ahead *ahead);

/* Something has happened: there may be something to read. */
void ahead_look_again(struct ahead *ahead);

/*
 * The next pages that are to be read, one behind the other, at most READER_CHUNK; 0: there
 * are none. @over: nothing is being read, so that what is left when all was looked at
 * has come since.
 */
uint32_t ahead_next(struct ahead *ahead, bool over, uint32_t *first);

/* The kernel is to read ahead what will be read in this order. */
void ahead_hint(const struct ahead *ahead);

#endif /* VMM_AHEAD_H */
