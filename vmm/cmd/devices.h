/* SPDX-License-Identifier: MIT */
/* The options that give a Linux guest its virtio devices, for run and restore. */
#ifndef VMM_CMD_DEVICES_H
#define VMM_CMD_DEVICES_H

#include "cmd/disks.h"
#include "cmd/nets.h"
#include "options.h"

/* struct devices - what the options ask for */
struct devices {
	long rng;
	long balloon;
	struct option_list disk_options;
	struct disks disks;
	struct option_list net_options;
	struct nets nets;
};

/* Rows of a table of options. */
#define RNG_ROW(devices)							\
	{ .name = "rng", .number = &(devices)->rng,				\
	  .help = "a source of random bytes" }
#define DISK_ROW(devices)							\
	{ .name = "disk", .argument = "PATH", .list = &(devices)->disk_options,	\
	  .help = DISKS_HELP }
#define NET_ROW(devices)							\
	{ .name = "net", .argument = "NET", .list = &(devices)->net_options,	\
	  .help = NETS_HELP }
#define BALLOON_ROW(devices)							\
	{ .name = "balloon", .number = &(devices)->balloon,			\
	  .help = "give memory that the guest does not use back to the host" }

/* Is any asked for? */
bool devices_any(const struct devices *devices);

/*
 * Understand the options. @name: of the VM, from which addresses are made, or NULL. 0, or
 * the status to exit with, after a word on it.
 */
int devices_read(struct devices *devices, const char *name);

/*
 * Give the machine all of them, in the same order each time: all but the network, 0 or
 * -errno; then the network, with the helper, 0 or the status to exit with, after a word on it.
 */
int devices_add(struct devices *devices, struct machine *machine);
int devices_connect(struct devices *devices, struct machine *machine, struct helper *helper);

void devices_free(struct devices *devices);

#endif /* VMM_CMD_DEVICES_H */
