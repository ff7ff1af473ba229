/* SPDX-License-Identifier: MIT */
/*
 * Requests outlive the process that made them: those of a ring go on in the kernel, and end at any
 * time. A pipe shows when they have ended: only the process and its rings have the writing end, so
 * that the reading end hangs up when none of them can do anything any more.
 */
#ifndef VMM_VIRTIO_FENCE_H
#define VMM_VIRTIO_FENCE_H

struct machine;

/*
 * Begin no requests before the pipe of this end has hung up. The descriptor belongs to the machine
 * from here on. Call it before the devices are restored. Returns 0 or -errno.
 */
int virtio_add_fence(struct machine *machine, int fd);

void virtio_close_fences(struct machine *machine);

#endif /* VMM_VIRTIO_FENCE_H */
