/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Chunks: 2 MiB in one piece in inodes that the host may map, and the modules' parameter that
 * says when there are any.
 */
#ifndef GMEM_TESTS_CHUNKS_H
#define GMEM_TESTS_CHUNKS_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "claims.h"
#include "fdinfo.h"

#define CHUNK_PAGES	512UL
#define CHUNKS_PARAM	"/sys/module/kvm/parameters/gmem_huge"

/* How many of an inode's chunks can be mapped as one. */
static inline uint64_t chunks_of(int view)
{
	return fdinfo(view, "chunks");
}

static inline bool __chunks_when(const char *when)
{
	int fd = open(CHUNKS_PARAM, O_WRONLY);
	bool set;

	if (fd < 0)
		claim_skip("these modules have no chunks");
	set = write(fd, when, strlen(when)) == (ssize_t)strlen(when);
	close(fd);
	return set;
}

/* What it was before the claim, "fits\n". */
static char chunks_before[16];

static inline void chunks_restore(void)
{
	__chunks_when(strtok(chunks_before, "\n"));
}

/* Inodes that are made from now on, until the claim's end, have them "never", "fits", "always". */
static inline void chunks_when(const char *when)
{
	int fd = open(CHUNKS_PARAM, O_RDONLY);

	if (!chunks_before[0] && fd >= 0) {
		TEST_ASSERT(read(fd, chunks_before, sizeof(chunks_before) - 1) > 0, CHUNKS_PARAM);
		atexit(chunks_restore);
	}
	if (fd >= 0)
		close(fd);
	TEST_ASSERT(__chunks_when(when), CHUNKS_PARAM ": errno %d", errno);
}

#endif /* GMEM_TESTS_CHUNKS_H */
