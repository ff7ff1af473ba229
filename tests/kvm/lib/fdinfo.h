/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gmem-* lines of /proc/self/fdinfo.
 */
#ifndef GMEM_TESTS_FDINFO_H
#define GMEM_TESTS_FDINFO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_util.h"

/* The text of @fd's line "gmem-KEY:\tTEXT"; false where there is none. */
static inline bool fdinfo_text(int fd, const char *key, char *text, size_t len)
{
	char path[64], line[128], want[64];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	snprintf(want, sizeof(want), "gmem-%s:\t", key);
	f = fopen(path, "r");
	TEST_ASSERT(f, "open %s", path);
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, want, strlen(want)))
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(text, len, "%s", line + strlen(want));
		found = true;
	}
	fclose(f);
	return found;
}

/* Its number, decimal or with 0x. */
static inline uint64_t fdinfo(int fd, const char *key)
{
	char text[64] = "", *end;
	uint64_t n;

	TEST_ASSERT(fdinfo_text(fd, key, text, sizeof(text)), "fdinfo has no gmem-%s", key);
	n = strtoull(text, &end, 0);
	TEST_ASSERT(*text && !*end, "gmem-%s is not a number: '%s'", key, text);
	return n;
}

#endif /* GMEM_TESTS_FDINFO_H */
