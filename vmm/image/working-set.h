/* SPDX-License-Identifier: MIT */
/*
 * A recorded working set: which pages of an image a guest asked for, in that
 * order. One run writes it, the next gives those pages before they are asked for.
 *
 * It is written as the guest asks: a page server that is killed leaves what it has
 * written, and the one that succeeds it goes on behind that.
 */
#ifndef VMM_IMAGE_WORKING_SET_H
#define VMM_IMAGE_WORKING_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"

/*
 * struct working_set - the file and what is in it
 * @fd: the file, or -1: there is none
 * @recording: pages are added; else it stays as it is
 * @begun: the file is a working set, maybe of no page
 * @ended: the file says that it is all that the guest has asked for
 * @count: of @pages
 * @written: how many of them are in the file
 * @known: how many were there when the guest that is served came
 * @pages: page offsets of the image, each at most once, the first fault first
 * @has: a bit a page of the image: it is among @pages
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
 * Open the file, and read it if there is anything in it: up to where who wrote it was
 * killed, if it was. 0 or -errno: EBADMSG where it is damaged or none, EPROTONOSUPPORT of
 * another version, EINVAL of another image.
 */
int working_set_open(struct working_set *set, const char *path,
		     const struct image *image);

/*
 * A guest is served from now on. @succeeds: a page server before this one has seen its
 * first faults: only where the file is what that has begun more are recorded. 0 or
 * -errno: nothing is recorded.
 */
int working_set_begin(struct working_set *set, const struct image *image,
		      bool succeeds);

/* A page was asked for, maybe not for the first time. */
void working_set_add(struct working_set *set, uint32_t page);

/* Write what was added since. 0 or -errno: nothing more is recorded then. */
int working_set_write(struct working_set *set);

/* The guest has asked for all that it will: write that, to the disk. 0 or -errno. */
int working_set_end(struct working_set *set);

void working_set_close(struct working_set *set);

#endif /* VMM_IMAGE_WORKING_SET_H */
