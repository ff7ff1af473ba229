// SPDX-License-Identifier: MIT
/*
 * A queue's addresses and indexes are checked when serving it begins: see virtq_start(). The driver
 * may not have been told yet about entries that were pushed before: a queue that has just begun
 * reports the first entry in any case.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "machine/machine.h"
#include "virtio/registers.h"
#include "virtio/state.h"

/* The configuration as the driver reads it, with zeroes after its end. */
static void read_config(struct virtio_device *device, uint8_t *config)
{
	uint32_t size = device->config_size;

	memset(config, 0, VIRTIO_SAVED_CONFIG);
	if (size > VIRTIO_SAVED_CONFIG)
		size = VIRTIO_SAVED_CONFIG;
	if (size)
		device->ops->read_config(device, 0, config, size);
}

void virtio_save_registers(const struct virtio_device *device, struct virtio_saved *saved)
{
	struct virtio_device *that = (struct virtio_device *)device;

	memset(saved, 0, sizeof(*saved));
	saved->type = device->ops->type;
	pci_function_save(&device->function, saved->config);
	msix_save(&that->msix, &saved->msix);
	pthread_mutex_lock(&that->lock);
	saved->registers = device->now;
	pthread_mutex_unlock(&that->lock);
	read_config(that, saved->device_config);
}

void virtio_save(const struct virtio_device *device, struct virtio_saved *saved)
{
	uint16_t i;

	virtio_save_registers(device, saved);
	for (i = 0; device->started && i < device->nr_queues; i++) {
		uint16_t vector = saved->registers.queues[i].vector;

		saved->registers.queues[i] = device->queues[i].now;
		saved->registers.queues[i].vector = vector;
	}
}

static bool same_config(struct virtio_device *device, const uint8_t *saved)
{
	uint8_t config[VIRTIO_SAVED_CONFIG];

	read_config(device, config);
	return !memcmp(config, saved, sizeof(config));
}

static bool good_queue(const struct virtio_device *device, const struct virtq_state *queue)
{
	return queue->size && queue->size <= VIRTQ_SIZE && !(queue->size & (queue->size - 1)) &&
	       queue->enabled <= 1 &&
	       (queue->vector < device->msix.nr || queue->vector == VIRTIO_NO_VECTOR);
}

/* A device cannot run before its features are fixed: the registers never let a driver do that. */
static bool good_status(const struct virtio_device *device, const struct virtio_state *registers)
{
	if (registers->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return registers_features_fit(device, registers->driver_features);
	return !(registers->status & VIRTIO_CONFIG_S_DRIVER_OK);
}

static bool is_good(struct virtio_device *device, const struct virtio_saved *saved)
{
	const struct virtio_state *registers = &saved->registers;
	uint16_t i;

	if (saved->type != device->ops->type || !good_status(device, registers) ||
	    (registers->config_vector >= device->msix.nr &&
	     registers->config_vector != VIRTIO_NO_VECTOR))
		return false;
	for (i = 0; i < device->nr_queues; i++)
		if (!good_queue(device, &registers->queues[i]) ||
		    (!registers->status && registers->queues[i].enabled))
			return false;
	return same_config(device, saved->device_config);
}

int virtio_restore(struct virtio_device *device, const struct virtio_saved *saved)
{
	if (device->machine->recovers && device->ops->adopt)
		device->ops->adopt(device, saved->device_config);
	if (!is_good(device, saved))
		return -EINVAL;
	pthread_mutex_lock(&device->lock);
	device->now = saved->registers;
	pthread_mutex_unlock(&device->lock);
	pci_function_restore(&device->function, saved->config);
	msix_restore(&device->msix, &saved->msix);
	device->recovers = device->machine->recovers;
	if (device->ops->restored)
		device->ops->restored(device);
	registers_ask_again(device);
	return 0;
}
