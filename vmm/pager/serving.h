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
 * @image: where from
 * @reader: what reads it
 * @set: its working set: given first, or recorded
 * @ahead: what is read when nobody asks; its @window and @fill are the caller's
 * @pager: the pager's descriptor
 * @ring: its ring; without a mapping where these modules have none
 * @socket: of the VMM, or -1 where it has closed that
 * @settled: a bit a page: nothing is to be done for it any more
 * @reading: a bit a page: it is being read
 * @asked: a bit a page: it was asked for
 * @unowed: a bit a page: it is settled because it was not owed, of which no event has told
 * @again: something that was asked for could not be given: it is to be tried again
 * @short_since: for want of memory, nothing was given since; or 0
 * @said_short: that was said
 * @left: pages that are not settled: there may be more to read ahead
 * @owed: pages that the guest is still to be given, by the kernel's count
 * @in_ring: answers for settled pages that are not carried out yet
 * @failed: pages that could not be given, as the image is not what it must be
 * @faults: events for pages
 * @given: pages populated by this process
 * @on_failed: is told of each page that could not be given
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
 * Begin, with what is known of these filled in: make the ring, find out what is
 * there. -EBUSY: somebody has made one before. End with serving_end(), also after an
 * error.
 */
int serving_begin(struct serving *serving);

/* Read what is asked for, if anything is, and give it. */
int serving_answer(struct serving *serving);

/* Is there something to try again? After how many ms; -1: no. */
int serving_wait(const struct serving *serving);
int serving_try_again(struct serving *serving);

/* There was nothing to do: have what is still in the ring carried out. */
int serving_rest(struct serving *serving);

/* Has something been read, that only has to be given; or is something to be read? */
bool serving_has_more(struct serving *serving);

/* Give a part of that, little enough for who asks meanwhile, and have more read. */
int serving_give_more(struct serving *serving);

/* Is nothing left to give, as far as is known without asking the kernel? */
bool serving_is_over(const struct serving *serving);

/*
 * All is there or has failed: the memory needs no pager. -EAGAIN: not so, there
 * is more to serve.
 */
int serving_detach(struct serving *serving);

void serving_end(struct serving *serving);

#endif /* VMM_PAGER_SERVING_H */
