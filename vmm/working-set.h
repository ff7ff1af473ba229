/* SPDX-License-Identifier: MIT */
/*
 * A recorded working set: which pages of an image a guest asked for, in that
 * order. One run writes it, the next gives those pages before they are asked for.
 */
#ifndef VMM_WORKING_SET_H
#define VMM_WORKING_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "memory-image.h"

/*
 * struct working_set - the file and what is in it
 * @fd: the file, or -1: there is none
 * @recording: pages are added; else it was read, and stays as it is
 * @count: of @pages
 * @pages: page offsets of the image, each at most once, the first fault first
 */
struct working_set {
	int fd;
	bool recording;
	uint32_t count;
	uint32_t *pages;
};

/*
 * Open the file, and read it if there is anything in it; else it is to be
 * recorded. 0 or -errno: EBADMSG where it is damaged or none, EPROTONOSUPPORT of
 * another version, EINVAL of another image.
 */
int working_set_open(struct working_set *set, const char *path,
		     const struct image *image);

/* A page was asked for, for the first time. */
void working_set_add(struct working_set *set, uint32_t page);

/* Write what was recorded. 0 or -errno. */
int working_set_save(struct working_set *set, const struct image *image);

void working_set_close(struct working_set *set);

#endif /* VMM_WORKING_SET_H */
