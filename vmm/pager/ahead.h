/* SPDX-License-Identifier: MIT */
/*
 * What of an image is to be read next when nobody waits for a page: what is around those
 * that were asked for, then the working set, then the rest.
 */
#ifndef VMM_PAGER_AHEAD_H
#define VMM_PAGER_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "image/working-set.h"

#define AHEAD_WINDOWS	128U
#define AHEAD_RUNS	4U	/* as many vCPUs' that read in order are told apart */
#define AHEAD_LONGEST	512U	/* pages that a window grows to, at most */

/* struct ahead_window - pages that are given together */
struct ahead_window {
	uint32_t first;
	uint32_t count;
};

/*
 * struct ahead_runs - who reads in order, and is given twice as much each time
 * @last: of each its last window; @count 0: of nobody
 * @oldest: which is the first to be forgotten
 */
struct ahead_runs {
	struct ahead_window last[AHEAD_RUNS];
	uint32_t oldest;
};

/*
 * struct ahead - how far it has been looked at
 * @image: the image
 * @set: its working set
 * @window: pages that are given together when one of them is asked for, at first; 1: and
 *	so it stays
 * @fill: what nobody has asked for is given too, when there is time
 * @settled: the server's: a bit a page: nothing is to be done for it any more
 * @reading: the server's: a bit a page: it is being read
 * @windows, @window_head, @window_tail: windows around what was asked for, that are to
 *	be read
 * @runs, @set_runs: who asks in order, and who has, by the working set
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
	struct ahead_window windows[AHEAD_WINDOWS];
	uint32_t window_head;
	uint32_t window_tail;
	struct ahead_runs runs;
	struct ahead_runs set_runs;
	uint32_t at_set;
	uint32_t at_page;
	uint32_t at;
	uint32_t end;
	bool dry;
};

/* Nothing is to be done for the page, or all that can be done now. */
bool ahead_is_taken(const struct ahead *ahead, uint32_t page);

/* The window around a page is to be read: aligned, or behind the last one of a run. */
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

#endif /* VMM_PAGER_AHEAD_H */
