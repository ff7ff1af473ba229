/* SPDX-License-Identifier: MIT */
/*
 * Requests outlive the process that made them: a ring's go on in the kernel, and end when they
 * like. A pipe tells: its writing end is in the process and in its rings, nowhere else, so that
 * the reading end hangs up when none of them can do anything any more.
 */
#ifndef VMM_VIRTIO_FENCE_H
#define VMM_VIRTIO_FENCE_H

struct machine;

/*
 * Begin no requests before the pipe of this end has hung up, which is the machine's from here
 * on: before its devices are restored. 0 or -errno.
 */
int virtio_add_fence(struct machine *machine, int fd);

void virtio_close_fences(struct machine *machine);

#endif /* VMM_VIRTIO_FENCE_H */
