/* SPDX-License-Identifier: MIT */
/* Memory that a guest gives back. */
#ifndef VMM_VIRTIO_BALLOON_H
#define VMM_VIRTIO_BALLOON_H

#include <stdint.h>

struct machine;

/*
 * Give a machine one: the guest tells which pages it does not use, and gives up as many
 * as balloon_set_target() asks for. 0 or -errno.
 */
int balloon_add(struct machine *machine);

/*
 * Ask the guest to give up so many bytes in all, and to take what it has given up beyond
 * that. It does what it can, when it can. By the thread of the main loop. 0; -ENODEV: the
 * machine has no balloon; -EINVAL: no multiple of 4 KiB, or more than the machine has.
 */
int balloon_set_target(struct machine *machine, uint64_t bytes);

/* How many bytes it has given up, as its driver says. 0 without a balloon. */
uint64_t balloon_actual(struct machine *machine);

#endif /* VMM_VIRTIO_BALLOON_H */
