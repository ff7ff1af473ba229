/* SPDX-License-Identifier: MIT */
/* A disk for the guest. */
#ifndef VMM_VIRTIO_BLOCK_H
#define VMM_VIRTIO_BLOCK_H

#include "disk/disk.h"

struct inflight;
struct machine;
struct virtio_device;

#define BLOCK_SERIAL	20U	/* characters, at most */

/*
 * struct block_options - which disk
 * @disk: what it is on the host
 * @serial: how the guest can tell it from others; at most BLOCK_SERIAL characters
 */
struct block_options {
	struct disk_options disk;
	char serial[BLOCK_SERIAL + 1];
};

/*
 * Give a machine a disk. Returns 0, or -errno with the reason in @why, which has DISK_WHY bytes.
 */
int block_add(struct machine *machine, const struct block_options *options, char *why);

/*
 * A queue's table of requests in flight. These tables and the transport's state are all state of a
 * disk.
 */
struct inflight *block_inflight(struct virtio_device *device, uint16_t queue);

/* Keep the tables of all its queues here from now on. Called before the driver runs. */
void block_use_tables(struct virtio_device *device, struct inflight *tables);

/* The descriptor of the disk on the host. */
int block_descriptor(struct virtio_device *device);

#endif /* VMM_VIRTIO_BLOCK_H */
