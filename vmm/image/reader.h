/* SPDX-License-Identifier: MIT */
/*
 * Reads of an image, several under way at once; what they bring is checked. Those
 * that somebody waits for come first, and have room of their own, so that they do not
 * stand behind what is read ahead.
 */
#ifndef VMM_IMAGE_READER_H
#define VMM_IMAGE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "image/ring.h"

#define READER_URGENT	32U	/* reads of one page, that somebody waits for */
#define READER_AHEAD	8U	/* others */
#define READER_CHUNK	64U	/* pages of one of these, at most */
#define READER_READS	(READER_URGENT + READER_AHEAD)

/*
 * struct image_read - a read
 * @first: the first page
 * @count: pages
 * @buffer: of so many, which is the image_reader's
 * @good: when it has ended: pages that are as they must be, before the first that is not
 * @error: with fewer than @count: why, as image_read() says it
 * @urgent: somebody waits for it
 * @state: nobody's; begun; ended, and not checked
 * @result: bytes, or -errno, that the ring has said
 * @begun: its place among all that were begun
 */
struct image_read {
	uint32_t first;
	uint32_t count;
	void *buffer;
	uint32_t good;
	int error;
	bool urgent;
	enum { READ_FREE, READ_BEGUN, READ_ENDED } state;
	int result;
	uint64_t begun;
};

/*
 * struct image_reader - all reads of an image
 * @image: the image
 * @by_ring: by io_uring, past the page cache where the file system can; else by
 *	pread(2), one after another, when they are taken
 * @ring: the ring
 * @memory: all their buffers
 * @reads: first those that somebody waits for
 * @under_way: reads that are begun and were not taken
 * @begun: reads so far
 * @broken: -errno: reads that were forgotten may still write into their buffers
 */
struct image_reader {
	const struct image *image;
	bool by_ring;
	struct image_ring ring;
	void *memory;
	struct image_read reads[READER_READS];
	uint32_t under_way;
	uint64_t begun;
	int broken;
};

/*
 * Open a reader: with @by_ring by io_uring. 0 or -errno; with *why where that was for
 * the ring, else NULL.
 */
int reader_open(struct image_reader *reader, const struct image *image,
		bool by_ring, const char **why);

/* Is there room for another read? */
bool reader_has_room(struct image_reader *reader, bool urgent);

/* Begin a read, for which there is room: of one page if it is urgent. */
void reader_begin(struct image_reader *reader, uint32_t first, uint32_t count,
		  bool urgent);

/* Somebody now waits for a page that is in a read under way. */
void reader_hurry(struct image_reader *reader, uint32_t page);

/* What was begun is told to the kernel; @wait: until one has ended. 0 or -errno. */
int reader_go(struct image_reader *reader, bool wait);

/* Has one ended, or would be read now? */
bool reader_has_ended(struct image_reader *reader);

/*
 * Take one that has ended, an urgent one before others; @urgent: no others. Its pages
 * are checked. NULL: there is none. It is the caller's until reader_drop().
 */
struct image_read *reader_take(struct image_reader *reader, bool urgent);
void reader_drop(struct image_reader *reader, struct image_read *read);

/*
 * Wait until nothing is under way, and forget what it was. If that fails, reader_go()
 * fails from then on.
 */
void reader_drain(struct image_reader *reader);

/* What to poll(2) for POLLIN: something has ended; -1: nothing. */
int reader_fd(const struct image_reader *reader);

void reader_close(struct image_reader *reader);

#endif /* VMM_IMAGE_READER_H */
