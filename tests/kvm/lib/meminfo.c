// SPDX-License-Identifier: GPL-2.0-only
/*
 * This machine's memory: see meminfo.h.
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "meminfo.h"

static FILE *open_proc(const char *path)
{
	FILE *f = fopen(path, "r");

	if (!f)
		err(1, "%s", path);
	return f;
}

uint64_t meminfo(const char *name)
{
	FILE *f = open_proc("/proc/meminfo");
	char line[128], found[64];
	unsigned long kib;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[^:]: %lu", found, &kib) == 2 && !strcmp(found, name)) {
			fclose(f);
			return (uint64_t)kib << 10;
		}
	}
	errx(1, "no %s in /proc/meminfo", name);
}

/* Each zone's "pages free", and the "count" of each of its lists. */
uint64_t memory_free(void)
{
	FILE *f = open_proc("/proc/zoneinfo");
	uint64_t pages = 0;
	char line[128];
	unsigned long n;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " pages free %lu", &n) == 1 ||
		    sscanf(line, " count: %lu", &n) == 1)
			pages += n;
	}
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}
