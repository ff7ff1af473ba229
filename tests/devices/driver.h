/* SPDX-License-Identifier: MIT */
/*
 * A driver of virtio devices, in place of a guest: a machine without KVM, whose memory is
 * ours, and whose registers are reached as vCPUs reach them.
 */
#ifndef TESTS_DEVICES_DRIVER_H
#define TESTS_DEVICES_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/machine.h"
#include "virtio/device.h"

#define MEMORY		(1UL << 20)	/* from guest address 0 on */
#define HUGE_GPA	(1UL << 32)	/* and untouched memory, for sizes that are too large */
#define HUGE_MEMORY	(8UL << 30)

/* Where the driver has things. A queue's rings lie in 16 KiB of their own. */
#define RINGS		0x4000UL
#define RINGS_SIZE	0x4000UL
#define DESC(queue)	(RINGS + (queue) * RINGS_SIZE)
#define AVAIL(queue)	(DESC(queue) + 0x1000)
#define USED(queue)	(DESC(queue) + 0x2000)
#define BUFFERS		0x40000UL

/* Registers of the BAR. */
#define REG_STATUS	0x14
#define REG_DOORBELLS	0x3000
#define REG_CONFIG	0x2000
#define REG_TABLE	0x4000

#define STATUS_OK	0x0f
#define STATUS_RESET	0x40

/*
 * struct driver - a machine and the driver of one of its devices
 * @memory: guest memory from 0 on
 * @features: what was negotiated last
 * @avail, @used: our indexes, a queue
 * @size: of the queues
 */
struct driver {
	struct machine machine;
	uint8_t *memory;
	struct virtio_device *device;
	uint64_t features;
	uint16_t size;
	uint16_t avail[VIRTIO_QUEUES];
	uint16_t used[VIRTIO_QUEUES];
};

/* How often each interrupt was raised. */
extern unsigned int interrupts[MSIX_VECTORS];

/* The machine, without devices; and its end. */
void driver_open(struct driver *driver);
void driver_close(struct driver *driver);

/* Drive the device that was added last. */
void driver_take(struct driver *driver);

uint64_t driver_read(struct driver *driver, uint32_t offset, uint32_t size);
void driver_write(struct driver *driver, uint32_t offset, uint64_t value, uint32_t size);

/*
 * Reset it, take those of @features that it has and set the queues up. Returns its
 * status; @size: of the queues.
 */
uint8_t driver_start(struct driver *driver, uint64_t features, uint16_t size);

/* The first part of it: the status is then FEATURES_OK or not. */
void driver_negotiate(struct driver *driver, uint64_t features);
void driver_set_queue(struct driver *driver, uint16_t queue, uint16_t size, uint64_t desc,
		      uint64_t avail, uint64_t used);

/* A descriptor of a queue, or of an indirect table at @table. */
void driver_desc(struct driver *driver, uint16_t queue, uint16_t i, uint64_t address,
		 uint32_t size, uint16_t flags, uint16_t next);
void driver_indirect(struct driver *driver, uint64_t table, uint16_t i, uint64_t address,
		     uint32_t size, uint16_t flags, uint16_t next);

/* Make a request available; ring the doorbell; have the main loop do what there is. */
void driver_offer(struct driver *driver, uint16_t queue, uint16_t head);
void driver_ring(struct driver *driver, uint16_t queue);
void driver_loop(struct driver *driver);

/* All three. */
void driver_go(struct driver *driver, uint16_t queue, uint16_t head);

/* The next used entry, if there is one. */
bool driver_used(struct driver *driver, uint16_t queue, uint32_t *id, uint32_t *size);

#endif /* TESTS_DEVICES_DRIVER_H */
