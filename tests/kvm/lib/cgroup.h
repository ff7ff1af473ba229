/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory cgroups: who pays for a page, and how many he may have.
 */
#ifndef GMEM_TESTS_CGROUP_H
#define GMEM_TESTS_CGROUP_H

#include <stdint.h>

/* Mounts cgroup2 until the claim's end; skips where that can't be. */
void cgroups_begin(void);

/* A group of this claim's own, by name. */
const char *cgroup_create(const char *name);

/* Puts this process into a group. */
void cgroup_enter(const char *group);

/* Of a file of a group; overwritten by the next call. */
const char *cgroup_path(const char *group, const char *file);

/*
 * Expects so many page cache pages to be charged to a group. The kernel adds small changes up
 * every two seconds only.
 */
void cgroup_expect_pages(const char *group, uint64_t least, uint64_t most);

void write_file(const char *path, const char *text);

#endif /* GMEM_TESTS_CGROUP_H */
