/* SPDX-License-Identifier: MIT */
/* Memory that a guest gives back. */
#ifndef VMM_VIRTIO_BALLOON_H
#define VMM_VIRTIO_BALLOON_H

#include <stdint.h>

struct machine;

/*
 * Give a machine a balloon: the guest tells which pages it does not use, and gives up as many as
 * balloon_set_target() asks for. Returns 0 or -errno.
 */
int balloon_add(struct machine *machine);

/*
 * Ask the guest to give up so many bytes in all, and to take back what it has given up beyond that.
 * The guest does what it can, when it can. Called by the main loop's thread. Returns 0; -ENODEV:
 * the machine has no balloon; -EINVAL: not a multiple of 4 KiB, or more than the machine has.
 */
int balloon_set_target(struct machine *machine, uint64_t bytes);

/* How many bytes the guest has given up, according to its driver. 0 without a balloon. */
uint64_t balloon_actual(struct machine *machine);

#endif /* VMM_VIRTIO_BALLOON_H */
