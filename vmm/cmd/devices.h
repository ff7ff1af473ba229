/* SPDX-License-Identifier: MIT */
/* The options that give a Linux guest its virtio devices, for run and restore. */
#ifndef VMM_CMD_DEVICES_H
#define VMM_CMD_DEVICES_H

#include "cmd/disks.h"
#include "cmd/nets.h"
#include "options.h"

/* struct devices - the devices that the options ask for */
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

/* Do the options ask for any device? */
bool devices_any(const struct devices *devices);

/*
 * Parse the options. @name: of the VM, from which addresses are derived, or NULL. Returns 0, or the
 * status to exit with, after an error message.
 */
int devices_read(struct devices *devices, const char *name);

/*
 * Give the machine all devices, in the same order each time. The first function adds all except the
 * network, and returns 0 or -errno; the second adds the network, with the helper, and returns 0, or
 * the status to exit with, after an error message.
 */
int devices_add(struct devices *devices, struct machine *machine);
int devices_connect(struct devices *devices, struct machine *machine, struct helper *helper);

void devices_free(struct devices *devices);

#endif /* VMM_CMD_DEVICES_H */
