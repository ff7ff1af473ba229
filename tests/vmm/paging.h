/* SPDX-License-Identifier: MIT */
/* Images of a guest's memory, page servers for them, and guests. */
#ifndef TESTS_VMM_PAGING_H
#define TESTS_VMM_PAGING_H

#include <stddef.h>
#include <stdint.h>

#include "program.h"

#define PAGE		4096UL
#define IMAGE_MIB	8
#define IMAGE_PAGES	(IMAGE_MIB * 256U)

/* "<folder>/<name>", for as long as the program runs. */
const char *file_path(const char *name);

/* At file_path("image"): what a guest has left, of that many MiB, and its sums. */
void image_make(unsigned int mib);

/* Change a byte of a file. */
void spoil(const char *path, uint64_t offset);

/* A file with these bytes. */
void write_file(const char *path, const void *bytes, size_t size);

/*
 * A page server for that image, at socket_path("a"), as user nobody, with other
 * options up to NULL, at most 4 words.
 */
extern const char *pager_io;	/* its --io, where it is not NULL */
struct program *pager_start(const char *name, ...) __attribute__((sentinel));

/* A guest of IMAGE_MIB whose memory is served from there. */
struct program *guest_start(void);

/* The number that stands before these words, where it has said them last. */
uint64_t number_before(const struct program *program, const char *words);

/* Teardown of a group: the files above, and the folder. */
int images_remove(void **state);

#endif /* TESTS_VMM_PAGING_H */
