/* SPDX-License-Identifier: MIT */
/* The registers of a virtio device on PCI. */
#ifndef VMM_VIRTIO_REGISTERS_H
#define VMM_VIRTIO_REGISTERS_H

#include "virtio/device.h"

/* Make the PCI function, its capabilities and MSI-X, and put it on the bus. 0 or -errno. */
int registers_init(struct virtio_device *device);

/* May a driver choose these features? */
bool registers_features_fit(const struct virtio_device *device, uint64_t features);

/* Registers as they are after a reset. The device's lock is held. */
void registers_reset(struct virtio_device *device);

/*
 * Let the main loop act on restored registers: begin to serve a device whose driver is ready, or
 * reset it.
 */
void registers_ask_again(struct virtio_device *device);

/* The guest physical address of a queue's doorbell. */
uint64_t registers_doorbell(const struct virtio_device *device, uint16_t queue);

#endif /* VMM_VIRTIO_REGISTERS_H */
