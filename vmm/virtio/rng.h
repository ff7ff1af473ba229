/* SPDX-License-Identifier: MIT */
/* Random bytes of the host's for the guest. */
#ifndef VMM_VIRTIO_RNG_H
#define VMM_VIRTIO_RNG_H

struct machine;

/* Give a machine one. 0 or -errno. */
int rng_add(struct machine *machine);

#endif /* VMM_VIRTIO_RNG_H */
