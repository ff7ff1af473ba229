// SPDX-License-Identifier: MIT
#include "common/page-bits.h"
#include "image/reader.h"
#include "pager/ahead.h"

bool ahead_is_taken(const struct ahead *ahead, uint32_t page)
{
	return page_is_set(ahead->settled, page) ||
	       page_is_set(ahead->reading, page);
}

/*
 * The window around a page. A request for the page right after the previous window counts as
 * sequential, and the window doubles. A recorded page gets the same window as when it was asked
 * for: the pages that came with it were possibly used, and are not recorded.
 */
static struct ahead_window window_of(const struct ahead *ahead, struct ahead_runs *runs,
				     uint32_t page)
{
	struct ahead_window *last, window = { page - page % ahead->window, ahead->window };
	uint32_t i;

	if (ahead->window == 1)
		return window;

	for (i = 0; i < AHEAD_RUNS; i++) {
		last = &runs->last[i];
		/* The page is being read already. */
		if (page - last->first < last->count)
			return *last;
		if (!last->count || page - last->first != last->count)
			continue;
		window.count = 2 * last->count;
		if (window.count > AHEAD_LONGEST)
			window.count = last->count;
		*last = window;
		return window;
	}
	runs->last[runs->oldest++ % AHEAD_RUNS] = window;
	return window;
}

void ahead_want_window(struct ahead *ahead, uint32_t page)
{
	struct ahead_window window = window_of(ahead, &ahead->runs, page);

	/* If there are too many windows, drop the oldest: nobody needs it next. */
	if (ahead->window_head - ahead->window_tail == AHEAD_WINDOWS)
		ahead->window_tail++;
	ahead->windows[ahead->window_head++ % AHEAD_WINDOWS] = window;
	ahead->dry = false;
}

bool ahead_wants_window(const struct ahead *ahead)
{
	return ahead->window_tail != ahead->window_head;
}

void ahead_look_again(struct ahead *ahead)
{
	ahead->dry = false;
}

static bool set_has_more(const struct ahead *ahead)
{
	return ahead->at_set < ahead->set->known;
}

static void look_at(struct ahead *ahead, struct ahead_window window)
{
	uint32_t left = ahead->image->pages - window.first;

	ahead->at = window.first;
	ahead->end = window.first + (window.count < left ? window.count : left);
}

/*
 * The next page of the working set, in the order of the requests, with the neighbours that were
 * given with it.
 */
static void look_at_set(struct ahead *ahead)
{
	uint32_t page = ahead->set->pages[ahead->at_set++];
	struct ahead_window window = window_of(ahead, &ahead->set_runs, page);

	if (!ahead_is_taken(ahead, page))
		look_at(ahead, window);
}

/* The next pages to look at. False: all were looked at. */
static bool look_further(struct ahead *ahead)
{
	if (ahead_wants_window(ahead)) {
		look_at(ahead, ahead->windows[ahead->window_tail++ % AHEAD_WINDOWS]);
	} else if (set_has_more(ahead)) {
		look_at_set(ahead);
	} else if (ahead->fill && ahead->at_page < ahead->image->pages) {
		look_at(ahead, (struct ahead_window){ ahead->at_page, READER_CHUNK });
		ahead->at_page = ahead->end;
	} else {
		return false;
	}
	return true;
}

static uint32_t next_run(struct ahead *ahead, uint32_t *first)
{
	uint32_t count = 0;

	for (;;) {
		while (ahead->at < ahead->end && ahead_is_taken(ahead, ahead->at))
			ahead->at++;
		if (ahead->at < ahead->end)
			break;
		if (!look_further(ahead))
			return 0;
	}
	*first = ahead->at;
	while (ahead->at < ahead->end && count < READER_CHUNK &&
	       !ahead_is_taken(ahead, ahead->at)) {
		ahead->at++;
		count++;
	}
	return count;
}

uint32_t ahead_next(struct ahead *ahead, bool over, uint32_t *first)
{
	uint32_t count = next_run(ahead, first);

	if (!count && ahead->fill && over) {
		ahead->at_page = 0;
		count = next_run(ahead, first);
	}
	ahead->dry = !count;
	return count;
}

void ahead_hint(const struct ahead *ahead)
{
	uint32_t i;

	for (i = 0; i < ahead->set->known; i++)
		image_will_need(ahead->image, ahead->set->pages[i], 1);
}
