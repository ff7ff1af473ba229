/* SPDX-License-Identifier: MIT */
/* The complete state of a virtio device: its PCI function, MSI-X, registers and queues. */
#ifndef VMM_VIRTIO_STATE_H
#define VMM_VIRTIO_STATE_H

#include "devices/msix.h"
#include "devices/pci.h"
#include "virtio/device.h"

#define VIRTIO_SAVED_CONFIG	128

/*
 * struct virtio_saved - the saved state of a device whose driver waits for nothing
 * @type: VIRTIO_ID_*
 * @device_config: for instance the size of a disk: another device differs in it
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
 * Save an idle device: in the main loop's thread, while the vCPUs stand still, after
 * virtio_attend_all().
 */
void virtio_save(const struct virtio_device *device, struct virtio_saved *saved);

/*
 * Save a running device, without the positions of its queues: in any thread, with the machine's
 * device_lock held.
 */
void virtio_save_registers(const struct virtio_device *device, struct virtio_saved *saved);

/*
 * Take over the untrusted state of another device; the main loop begins to serve it if its driver
 * was ready. Returns 0, or -EINVAL: it is not the state of such a device.
 */
int virtio_restore(struct virtio_device *device, const struct virtio_saved *saved);

#endif /* VMM_VIRTIO_STATE_H */
