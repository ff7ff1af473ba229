/* SPDX-License-Identifier: MIT */
/* A source of random bytes, which the host gives to the guest. */
#ifndef VMM_VIRTIO_RNG_H
#define VMM_VIRTIO_RNG_H

struct machine;

/* Give a machine such a source. Returns 0 or -errno. */
int rng_add(struct machine *machine);

#endif /* VMM_VIRTIO_RNG_H */
