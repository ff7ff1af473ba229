/* SPDX-License-Identifier: MIT */
/*
 * Chooses which part of an image to read next when nobody waits for a page: pages around those that
 * were asked for, then the working set, then the rest.
 */
#ifndef VMM_PAGER_AHEAD_H
#define VMM_PAGER_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "image/working-set.h"

#define AHEAD_WINDOWS	128U
#define AHEAD_RUNS	4U	/* sequential streams tracked at once */
#define AHEAD_LONGEST	512U	/* pages that a window grows to, at most */

/* struct ahead_window - pages that are given together */
struct ahead_window {
	uint32_t first;
	uint32_t count;
};

/*
 * struct ahead_runs - sequential streams, whose window doubles each time
 * @last: each stream's last window; @count 0: an unused entry
 * @oldest: the entry that is reused first
 */
struct ahead_runs {
	struct ahead_window last[AHEAD_RUNS];
	uint32_t oldest;
};

/*
 * struct ahead - how far it has been looked at
 * @image: the image
 * @set: its working set
 * @window: initial number of pages that are given together when one of them is asked for; 1:
 *	windows never grow
 * @fill: also give pages that nobody has asked for, when there is time
 * @settled: the server's: a bit for each page: nothing is left to do for it
 * @reading: the server's: a bit for each page: it is being read
 * @windows, @window_head, @window_tail: windows around requested pages, to be read
 * @runs, @set_runs: sequential streams now, and those in the recorded working set
 * @at_set, @at_page: how far the working set and the rest have been looked at
 * @at, @end: the pages that are looked at now
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

/* Nothing can be done for the page now. */
bool ahead_is_taken(const struct ahead *ahead, uint32_t page);

/* Queue the window around a page for reading: aligned, or following the last one of a stream. */
void ahead_want_window(struct ahead *ahead, uint32_t page);
bool ahead_wants_window(const struct ahead *ahead);

/* Note an event, after which there may be something to read. */
void ahead_look_again(struct ahead *ahead);

/*
 * Get the next contiguous pages to read, at most READER_CHUNK; 0: there are none. @over: nothing is
 * being read, so that pages left after a full pass have come since.
 */
uint32_t ahead_next(struct ahead *ahead, bool over, uint32_t *first);

/* Make the kernel read ahead in this order. */
void ahead_hint(const struct ahead *ahead);

#endif /* VMM_PAGER_AHEAD_H */
