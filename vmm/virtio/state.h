/* SPDX-License-Identifier: MIT */
/* The state of a virtio device, all of it: its PCI function, MSI-X, registers and queues. */
#ifndef VMM_VIRTIO_STATE_H
#define VMM_VIRTIO_STATE_H

#include "devices/msix.h"
#include "devices/pci.h"
#include "virtio/device.h"

#define VIRTIO_SAVED_CONFIG	128

/*
 * struct virtio_saved - what is kept of a device whose driver waits for nothing
 * @type: VIRTIO_ID_*
 * @device_config: of a disk its size, for instance: another device is not the same
 */
struct virtio_saved {
	uint32_t type;
	uint32_t reserved;
	uint8_t config[PCI_CONFIG_SIZE];
	struct msix_state msix;
	struct virtio_state registers;
	uint8_t device_config[VIRTIO_SAVED_CONFIG];
};

/*
 * Of an idle device, by the thread of the main loop, while the vCPUs stand still, after
 * virtio_attend_all().
 */
void virtio_save(const struct virtio_device *device, struct virtio_saved *saved);

/*
 * Without what the queues are at: any thread, with the machine's device_lock held, while the
 * device runs.
 */
void virtio_save_registers(const struct virtio_device *device, struct virtio_saved *saved);

/*
 * Take over the state of another that may be anything; the main loop begins to serve it
 * where its driver was ready. 0, or -EINVAL: it is of no such device.
 */
int virtio_restore(struct virtio_device *device, const struct virtio_saved *saved);

#endif /* VMM_VIRTIO_STATE_H */
