/* SPDX-License-Identifier: MIT */
/* The options that give a Linux guest its virtio devices, for run and restore. */
#ifndef VMM_CMD_DEVICES_H
#define VMM_CMD_DEVICES_H

#include "cmd/disks.h"
#include "options.h"

/* struct devices - what the options ask for */
struct devices {
	long rng;
	struct option_list disk_options;
	struct disks disks;
};

/* Rows of a table of options. */
#define RNG_ROW(devices)							\
	{ .name = "rng", .number = &(devices)->rng,				\
	  .help = "a source of random bytes" }
#define DISK_ROW(devices)							\
	{ .name = "disk", .argument = "PATH", .list = &(devices)->disk_options,	\
	  .help = DISKS_HELP }

/* Is any asked for? */
bool devices_any(const struct devices *devices);

/* Understand the options. 0, or the status to exit with, after a word on it. */
int devices_read(struct devices *devices);

/* Give the machine all of them, in the same order each time. 0, or -errno. */
int devices_add(struct devices *devices, struct machine *machine);

void devices_free(struct devices *devices);

#endif /* VMM_CMD_DEVICES_H */
