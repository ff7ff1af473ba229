/* SPDX-License-Identifier: MIT */
/*
 * A recorded working set: the pages of an image that a guest asked for, in order. One run writes
 * it, the next gives those pages before they are asked for.
 *
 * It is written while the guest asks: a page server that is killed leaves what it has written, and
 * its successor appends to that.
 */
#ifndef VMM_IMAGE_WORKING_SET_H
#define VMM_IMAGE_WORKING_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"

/*
 * struct working_set - the file and what is in it
 * @fd: the file, or -1: there is none
 * @recording: pages are added; else the set stays as it is
 * @begun: the file is a working set, maybe an empty one
 * @ended: the file says that it is complete
 * @count: of @pages
 * @written: how many of them are in the file
 * @known: how many there were when the present guest came
 * @pages: page offsets of the image, each at most once, the first fault first
 * @has: a bit for each page of the image: it is among @pages
 */
struct working_set {
	int fd;
	bool recording;
	bool begun;
	bool ended;
	uint32_t count;
	uint32_t written;
	uint32_t known;
	uint32_t *pages;
	unsigned char *has;
};

/*
 * Open the file, and read it if it is not empty. Reads it up to the point where its writer was
 * killed, if it was. Returns 0 or -errno: EBADMSG: it is damaged, or not a working set;
 * EPROTONOSUPPORT: of another version; EINVAL: of another image.
 */
int working_set_open(struct working_set *set, const char *path,
		     const struct image *image);

/*
 * A guest is served from now on. @succeeds: an earlier page server has seen its first faults; then
 * more are recorded only if that server began this file. Returns 0, or -errno: nothing is recorded.
 */
int working_set_begin(struct working_set *set, const struct image *image,
		      bool succeeds);

/* A page was asked for, maybe not for the first time. */
void working_set_add(struct working_set *set, uint32_t page);

/* Write the pages that were added since. Returns 0, or -errno: nothing more is recorded then. */
int working_set_write(struct working_set *set);

/* The guest will not ask for more pages: write the end, and sync it. Returns 0 or -errno. */
int working_set_end(struct working_set *set);

void working_set_close(struct working_set *set);

#endif /* VMM_IMAGE_WORKING_SET_H */
