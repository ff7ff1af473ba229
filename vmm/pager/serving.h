/* SPDX-License-Identifier: MIT */
/* Serving one guest's missing pages from an image. */
#ifndef VMM_PAGER_SERVING_H
#define VMM_PAGER_SERVING_H

#include <stdbool.h>
#include <stdint.h>

#include <gmem.h>

#include "image/image.h"
#include "image/reader.h"
#include "image/working-set.h"
#include "pager/ahead.h"

/*
 * struct serving - a guest whose memory is served
 * @image: the image that it is served from
 * @reader: reads the image
 * @set: its working set: given first, or recorded
 * @ahead: chooses what is read when nobody asks; the caller sets its @window and @fill
 * @pager: the pager's descriptor
 * @ring: its ring; without a mapping where these modules have none
 * @socket: of the VMM, or -1 where it has closed that
 * @settled: a bit for each page: nothing is left to do for it
 * @reading: a bit a page: it is being read
 * @asked: a bit a page: it was asked for
 * @unowed: a bit for each page: it is settled because it was not owed, but no event has said so
 * @again: a requested page could not be given: try it again
 * @short_since: nothing could be given since this time for lack of memory; or 0
 * @said_short: that was said
 * @left: pages that are not settled, of which some may be read ahead
 * @owed: pages that the guest must still get, by the kernel's count
 * @in_ring: answers for settled pages that are not carried out yet
 * @failed: pages that could not be given, because the image is damaged
 * @faults: events for pages
 * @given: pages populated by this process
 * @on_failed: called for each page that could not be given
 *
 * Functions return 0 or -errno; -EPIPE: the guest's memory is gone.
 */
struct serving {
	const struct image *image;
	struct image_reader *reader;
	struct working_set *set;
	struct ahead ahead;
	int pager;
	struct gmem_pager_ring ring;
	int socket;
	unsigned char *settled;
	unsigned char *reading;
	unsigned char *asked;
	unsigned char *unowed;
	bool again;
	uint64_t short_since;
	bool said_short;
	uint32_t left;
	uint32_t owed;
	uint32_t in_ring;
	uint32_t failed;
	uint64_t faults;
	uint64_t given;
	void (*on_failed)(uint64_t offset, int error);
};

/*
 * Begin, after the caller has filled in the members that it knows: make the ring, and find the
 * pages that are there. -EBUSY: somebody has made a ring before. End with serving_end(), even after
 * an error.
 */
int serving_begin(struct serving *serving);

/* Read the requested pages, if there are any, and give them. */
int serving_answer(struct serving *serving);

/* After how many ms must something be tried again? -1: nothing. */
int serving_wait(const struct serving *serving);
int serving_try_again(struct serving *serving);

/* There was nothing to do: let the kernel carry out the rest of the ring. */
int serving_rest(struct serving *serving);

/* Is there data to hand out, or anything left to read? */
bool serving_has_more(struct serving *serving);

/* Give a part of that, small enough not to delay new requests, and read more. */
int serving_give_more(struct serving *serving);

/* Is nothing left to give, as far as is known without asking the kernel? */
bool serving_is_over(const struct serving *serving);

/*
 * All pages are there or have failed: the memory needs no pager any more. -EAGAIN: there is more to
 * serve.
 */
int serving_detach(struct serving *serving);

void serving_end(struct serving *serving);

#endif /* VMM_PAGER_SERVING_H */
