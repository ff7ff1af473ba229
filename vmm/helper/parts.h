/* SPDX-License-Identifier: MIT */
/* Inside the helper's process: what it is asked for, a part each. */
#ifndef VMM_HELPER_PARTS_H
#define VMM_HELPER_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/events.h"

/* Files of a snapshot: files.c */

/*
 * struct snapshot_files - a snapshot that is being written
 * @dir: its directory, or -1: there is none
 * @path: of the directory
 */
struct snapshot_files {
	int dir;
	char path[4096];
};

/* 0, and descriptors of `memory` and of what becomes `state`; or -errno. */
int snapshot_files_make(struct snapshot_files *files, const char *path, int *fds);

/* It is one from here on. 0 or -errno: then it is gone. */
int snapshot_files_keep(struct snapshot_files *files);

/* Remove it, if there is one that is not kept. 0 or -errno. */
int snapshot_files_drop(struct snapshot_files *files);

/* The program passt: passt-program.c */

struct passt_program;

/*
 * One that is started when the VMM says so by @channel, which it has for itself. It ends
 * with that: then *left is one less. NULL: there is no memory.
 */
struct passt_program *passt_program_open(struct events *events, int channel, uint16_t mtu,
					 unsigned int *left);

#endif /* VMM_HELPER_PARTS_H */
