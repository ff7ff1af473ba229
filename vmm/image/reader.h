/* SPDX-License-Identifier: MIT */
/*
 * Reads of an image, several under way at once, with a check of the data. Reads that somebody waits
 * for come first, and have room of their own, so that they do not queue behind reads ahead.
 */
#ifndef VMM_IMAGE_READER_H
#define VMM_IMAGE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "image/ring.h"

#define READER_URGENT	32U	/* reads of one page that somebody waits for */
#define READER_AHEAD	8U	/* others */
#define READER_CHUNK	64U	/* pages of one of these, at most */
#define READER_READS	(READER_URGENT + READER_AHEAD)

/*
 * struct image_read - a read
 * @first: the first page
 * @count: pages
 * @buffer: for so many pages; belongs to the image_reader
 * @good: after its end: how many pages are valid, before the first that is not
 * @error: if @good is less than @count: why, as for image_read()
 * @urgent: somebody waits for it
 * @state: unused; begun; or ended, and not checked
 * @result: bytes, or -errno, from the ring
 * @begun: its place among all reads that were begun
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
 * @reads: those that somebody waits for come first
 * @under_way: reads that were begun and not taken
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
 * Open a reader: with @by_ring by io_uring. Returns 0 or -errno; *why is set if the ring failed,
 * else NULL.
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

/*
 * Tell the kernel about reads that were begun; @wait: wait until one has ended. Returns 0 or
 * -errno.
 */
int reader_go(struct image_reader *reader, bool wait);

/* Has a read ended, or could one be read now? */
bool reader_has_ended(struct image_reader *reader);

/*
 * Take a read that has ended, urgent ones first; @urgent: only those. Its pages are checked. NULL:
 * there is none. It belongs to the caller until reader_drop().
 */
struct image_read *reader_take(struct image_reader *reader, bool urgent);
void reader_drop(struct image_reader *reader, struct image_read *read);

/*
 * Wait until nothing is under way, and forget all reads. If that fails, reader_go() fails from then
 * on.
 */
void reader_drain(struct image_reader *reader);

/* The descriptor that polls POLLIN when a read has ended; -1: none. */
int reader_fd(const struct image_reader *reader);

void reader_close(struct image_reader *reader);

#endif /* VMM_IMAGE_READER_H */
