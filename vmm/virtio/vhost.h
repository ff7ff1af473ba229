/* SPDX-License-Identifier: MIT */
/*
 * The host kernel's vhost-net: it carries frames between the queues of a card and a tap by a
 * thread of its own. Between vhost_start() and vhost_stop() the queues are the kernel's, and
 * nothing here touches them; their indexes come back with the latter, so that a snapshot has
 * them, and whoever goes on with the queues need not be a vhost.
 */
#ifndef VMM_VIRTIO_VHOST_H
#define VMM_VIRTIO_VHOST_H

#include <stdbool.h>

struct machine;
struct vhost;
struct virtio_device;

/*
 * Open /dev/vhost-net for a machine that has its memory, and a @tap that stays the caller's:
 * before the VMM gives up files. 0 or -errno: -EOPNOTSUPP: the machine's memory is private.
 */
int vhost_open(struct vhost **vhost, struct machine *machine, int tap);
void vhost_close(struct vhost *vhost);

/*
 * Hand the first two queues over, of a device whose driver has started it. 0 or -errno: they
 * are the device's still.
 */
int vhost_start(struct vhost *vhost, struct virtio_device *device);

/* Have them back. Nothing is in flight then, and the driver has been told of all. */
void vhost_stop(struct vhost *vhost);

/* Has the kernel the queues? False for NULL. */
bool vhost_runs(const struct vhost *vhost);

#endif /* VMM_VIRTIO_VHOST_H */
