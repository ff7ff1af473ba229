// SPDX-License-Identifier: MIT
/*
 * After the Virtual I/O Device specification 1.2, 4.1. All of them are in one BAR, by
 * page: common configuration, interrupt status, the device's configuration, doorbells,
 * MSI-X table and pending bits.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stddef.h>
#include <string.h>

#include "common/events.h"
#include "machine/machine.h"
#include "virtio/registers.h"

#define VENDOR			0x1af4
#define DEVICE_BASE		0x1040

#define AREA_SIZE		0x1000U
#define COMMON			0x0000U
#define ISR			0x1000U
#define CONFIG			0x2000U
#define NOTIFY			0x3000U
#define TABLE			0x4000U
#define PENDING			0x5000U
#define NOTIFY_STEP		4U

/* ---- Common configuration: a row a register ---- */

static struct virtq_state *selected(struct virtio_device *device)
{
	return device->now.queue_select < device->nr_queues ?
	       &device->now.queues[device->now.queue_select] : NULL;
}

static uint64_t read_features(struct virtio_device *device)
{
	uint32_t select = device->now.device_select;

	return select < 2 ? (uint32_t)(device->features >> (select * 32)) : 0;
}

static uint64_t read_driver_features(struct virtio_device *device)
{
	uint32_t select = device->now.driver_select;

	return select < 2 ? (uint32_t)(device->now.driver_features >> (select * 32)) : 0;
}

/* Features are fixed when the driver says so. */
static void write_driver_features(struct virtio_device *device, uint64_t value)
{
	uint32_t shift = device->now.driver_select * 32;

	if (device->now.driver_select > 1 ||
	    device->now.status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	device->now.driver_features &= ~(0xffffffffULL << shift);
	device->now.driver_features |= (value & 0xffffffff) << shift;
}

bool registers_features_fit(const struct virtio_device *device, uint64_t features)
{
	return !(features & ~device->features) && features & 1ULL << VIRTIO_F_VERSION_1;
}

static void ask(struct virtio_device *device, int what)
{
	device->asked = what;
	event_raise(device->attention.fd, "telling the main loop of a device");
}

/* After a write of 0, reads return the old status until the device has let go of guest memory. */
static void write_status(struct virtio_device *device, uint64_t value)
{
	uint8_t was = device->now.status;

	if (!value) {
		device->now.reset = 1;
		ask(device, ASKED_RESET);
		return;
	}
	if (device->asked == ASKED_RESET)
		return;
	value |= was & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_DRIVER_OK);
	/* A running device runs until it is reset. */
	if (was & VIRTIO_CONFIG_S_DRIVER_OK)
		value |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (value & VIRTIO_CONFIG_S_FEATURES_OK &&
	    !registers_features_fit(device, device->now.driver_features))
		value &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(value & VIRTIO_CONFIG_S_FEATURES_OK))
		value &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	device->now.status = value;
	if (value & ~was & VIRTIO_CONFIG_S_DRIVER_OK)
		ask(device, ASKED_START);
}

static uint16_t vector_or_none(const struct virtio_device *device, uint64_t value)
{
	return value < device->msix.nr ? value : VIRTIO_NO_VECTOR;
}

static void write_queue_size(struct virtio_device *device, uint64_t value)
{
	struct virtq_state *queue = selected(device);

	if (queue && !queue->enabled && value && value <= VIRTQ_SIZE &&
	    !(value & (value - 1)))
		queue->size = value;
}

static void write_queue_enable(struct virtio_device *device, uint64_t value)
{
	struct virtq_state *queue = selected(device);

	if (queue && value == 1 && !(device->now.status & VIRTIO_CONFIG_S_DRIVER_OK))
		queue->enabled = 1;
}

static void write_queue_vector(struct virtio_device *device, uint64_t value)
{
	struct virtq_state *queue = selected(device);

	if (queue)
		__atomic_store_n(&queue->vector, vector_or_none(device, value),
				 __ATOMIC_RELAXED);
}

static uint64_t read_common(struct virtio_device *device, uint32_t offset)
{
	const struct virtio_state *now = &device->now;
	static const struct virtq_state none;
	const struct virtq_state *queue = selected(device);

	if (!queue)
		queue = &none;
	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return now->device_select;
	case VIRTIO_PCI_COMMON_DF:
		return read_features(device);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return now->driver_select;
	case VIRTIO_PCI_COMMON_GF:
		return read_driver_features(device);
	case VIRTIO_PCI_COMMON_MSIX:
		return now->config_vector;
	case VIRTIO_PCI_COMMON_NUMQ:
		return device->nr_queues;
	case VIRTIO_PCI_COMMON_STATUS:
		return now->status;
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return now->generation;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return now->queue_select;
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return queue->size;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return queue->vector;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return queue->enabled;
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return now->queue_select;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		return queue->desc;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		return queue->avail;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
		return queue->used;
	default:
		return 0;
	}
}

static void write_common(struct virtio_device *device, uint32_t offset, uint64_t value)
{
	struct virtio_state *now = &device->now;

	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		now->device_select = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		now->driver_select = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		write_driver_features(device, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		now->config_vector = vector_or_none(device, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		write_status(device, value);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		now->queue_select = value;
		break;
	case VIRTIO_PCI_COMMON_Q_SIZE:
		write_queue_size(device, value);
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		write_queue_vector(device, value);
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		write_queue_enable(device, value);
		break;
	}
}

/* Width of the register that begins at an offset; 0: there is none. */
static uint32_t width(uint32_t offset)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
	case VIRTIO_PCI_COMMON_DF:
	case VIRTIO_PCI_COMMON_GFSELECT:
	case VIRTIO_PCI_COMMON_GF:
		return 4;
	case VIRTIO_PCI_COMMON_STATUS:
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_NUMQ:
	case VIRTIO_PCI_COMMON_Q_SELECT:
	case VIRTIO_PCI_COMMON_Q_SIZE:
	case VIRTIO_PCI_COMMON_Q_MSIX:
	case VIRTIO_PCI_COMMON_Q_ENABLE:
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return 2;
	default:
		return 0;
	}
}

/* The address register that contains an access of 4 or 8 bytes, or NULL. */
static uint64_t *address_at(struct virtio_device *device, uint32_t offset)
{
	struct virtq_state *queue = selected(device);

	if (!queue)
		return NULL;
	switch (offset & ~7U) {
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		return &queue->desc;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		return &queue->avail;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
		return &queue->used;
	default:
		return NULL;
	}
}

static bool is_address(uint32_t offset, uint32_t size)
{
	return offset >= VIRTIO_PCI_COMMON_Q_DESCLO &&
	       offset + size <= VIRTIO_PCI_COMMON_Q_USEDHI + sizeof(uint32_t) &&
	       (size == 4 || size == 8) && !(offset % size);
}

static void common_read(struct virtio_device *device, uint32_t offset, void *data,
			uint32_t size)
{
	uint64_t value;

	if (is_address(offset, size)) {
		const uint64_t *address = address_at(device, offset);

		if (address)
			memcpy(data, (const uint8_t *)address + offset % 8, size);
	} else if (width(offset) == size) {
		value = read_common(device, offset);
		memcpy(data, &value, size);
	}
}

static void common_write(struct virtio_device *device, uint32_t offset, const void *data,
			 uint32_t size)
{
	struct virtq_state *queue = selected(device);
	uint64_t value = 0;

	if (is_address(offset, size)) {
		uint64_t *address = address_at(device, offset);

		if (address && !queue->enabled)
			memcpy((uint8_t *)address + offset % 8, data, size);
	} else if (width(offset) == size) {
		memcpy(&value, data, size);
		write_common(device, offset, value);
	}
}

/* ---- The BAR ---- */

static struct virtio_device *device_of(struct pci_function *function)
{
	return (struct virtio_device *)((char *)function -
					offsetof(struct virtio_device, function));
}

static void config_read(struct virtio_device *device, uint32_t offset, void *data,
			uint32_t size)
{
	if (offset + size <= device->config_size)
		device->ops->read_config(device, offset, data, size);
}

static void bar_read(struct pci_function *function, uint32_t offset, void *data,
		     uint32_t size)
{
	struct virtio_device *device = device_of(function);
	uint32_t at = offset % AREA_SIZE;

	pthread_mutex_lock(&device->lock);
	switch (offset - at) {
	case COMMON:
		common_read(device, at, data, size);
		break;
	case ISR:	/* for interrupt lines, of which there are none */
		break;
	case CONFIG:
		config_read(device, at, data, size);
		break;
	case TABLE:
		msix_table_read(&device->msix, at, data, size);
		break;
	case PENDING:
		msix_pending_read(&device->msix, at, data, size);
		break;
	}
	pthread_mutex_unlock(&device->lock);
}

static void bar_write(struct pci_function *function, uint32_t offset, const void *data,
		      uint32_t size)
{
	struct virtio_device *device = device_of(function);
	uint32_t at = offset % AREA_SIZE;

	pthread_mutex_lock(&device->lock);
	switch (offset - at) {
	case COMMON:
		common_write(device, at, data, size);
		break;
	case CONFIG:
		if (at + size <= device->config_size && device->ops->write_config)
			device->ops->write_config(device, at, data, size);
		break;
	case TABLE:
		msix_table_write(&device->msix, at, data, size);
		break;
	}
	pthread_mutex_unlock(&device->lock);
}

static void configured(struct pci_function *function, uint32_t offset, uint32_t size)
{
	(void)offset;
	(void)size;
	msix_configured(&device_of(function)->msix);
}

/* ---- Setting up ---- */

static void add_area(struct virtio_device *device, uint8_t type, uint32_t offset,
		     uint32_t size)
{
	struct virtio_pci_notify_cap area = {
		.cap = {
			.cap_vndr = PCI_CAP_ID_VNDR, .cap_len = sizeof(area.cap),
			.cfg_type = type, .bar = 0, .offset = offset, .length = size,
		},
		.notify_off_multiplier = NOTIFY_STEP,
	};

	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		area.cap.cap_len = sizeof(area);
	pci_add_capability(&device->function, &area, area.cap.cap_len);
}

void registers_reset(struct virtio_device *device)
{
	uint16_t i;

	/* @asked stays: requests that came during the reset are meant for the device after it. */
	device->now = (struct virtio_state){
		.config_vector = VIRTIO_NO_VECTOR, .generation = device->now.generation,
	};
	for (i = 0; i < device->nr_queues; i++) {
		device->now.queues[i].size = VIRTQ_SIZE;
		device->now.queues[i].vector = VIRTIO_NO_VECTOR;
	}
}

void registers_ask_again(struct virtio_device *device)
{
	pthread_mutex_lock(&device->lock);
	if (device->now.reset)
		ask(device, ASKED_RESET);
	else if (device->now.status & VIRTIO_CONFIG_S_DRIVER_OK)
		ask(device, ASKED_START);
	pthread_mutex_unlock(&device->lock);
}

uint64_t registers_doorbell(const struct virtio_device *device, uint16_t queue)
{
	return pci_bar(&device->function) + NOTIFY + queue * NOTIFY_STEP;
}

int registers_init(struct virtio_device *device)
{
	static const struct pci_ops ops = {
		.read = bar_read, .write = bar_write, .configured = configured,
	};
	const struct pci_ids ids = {
		.vendor = VENDOR, .device = DEVICE_BASE + device->ops->type,
		.class = device->ops->class, .revision = 1,
		.subsystem_vendor = VENDOR, .subsystem = DEVICE_BASE + device->ops->type,
	};
	int ret;

	pci_function_init(&device->function, &ids, &ops);
	add_area(device, VIRTIO_PCI_CAP_COMMON_CFG, COMMON,
		 sizeof(struct virtio_pci_common_cfg));
	add_area(device, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY, device->nr_queues * NOTIFY_STEP);
	add_area(device, VIRTIO_PCI_CAP_ISR_CFG, ISR, 1);
	if (device->config_size)
		add_area(device, VIRTIO_PCI_CAP_DEVICE_CFG, CONFIG, device->config_size);
	registers_reset(device);
	/* One vector for each queue, and one for changes of the configuration. */
	ret = msix_init(&device->msix, &device->machine->msis, &device->function,
			device->nr_queues + 1, TABLE, PENDING);
	return ret ? ret : pci_add(&device->machine->pci, &device->function);
}
