/* SPDX-License-Identifier: MIT */
/*
 * The host kernel's vhost-net: a kernel thread carries frames between the queues of a card and a
 * tap. Between vhost_start() and vhost_stop() the kernel owns the queues, and nothing here touches
 * them. vhost_stop() gets their indexes back, so that a snapshot has them, and a VMM without vhost
 * can go on with the queues.
 */
#ifndef VMM_VIRTIO_VHOST_H
#define VMM_VIRTIO_VHOST_H

#include <stdbool.h>

struct machine;
struct vhost;
struct virtio_device;

/*
 * Open /dev/vhost-net for a machine that has its memory, and a @tap that stays the caller's. Call
 * it before the VMM gives up files. Returns 0 or -errno; -EOPNOTSUPP: the machine's memory is
 * private.
 */
int vhost_open(struct vhost **vhost, struct machine *machine, int tap);
void vhost_close(struct vhost *vhost);

/*
 * Give the first two queues of a started device to the kernel. Returns 0, or -errno: the device
 * keeps them.
 */
int vhost_start(struct vhost *vhost, struct virtio_device *device);

/*
 * Take the queues back. Afterwards nothing is in flight, and the driver has been told everything.
 */
void vhost_stop(struct vhost *vhost);

/* Does the kernel have the queues? False for NULL. */
bool vhost_runs(const struct vhost *vhost);

#endif /* VMM_VIRTIO_VHOST_H */
