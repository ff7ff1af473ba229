// SPDX-License-Identifier: MIT
/*
 * The Virtual I/O Device specification 1.2, 5.5. Pages that the driver gives up, or reports
 * as free, are punched out of the guest memory inode; the next touch finds zeroes there.
 * Statistics and hints are not offered. A queue after the first two can therefore only be the one
 * for reports, whichever number the driver gives it.
 */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"
#include "virtio/balloon.h"
#include "virtio/device.h"

#define CLASS_OTHER	0xff0000
#define PAGE		(1ULL << VIRTIO_BALLOON_PFN_SHIFT)
#define INFLATE		0
#define DEFLATE		1
#define QUEUES		5
/* Page numbers in a request; Linux sends 256. Any further pages are not given back. */
#define PFNS		4096U
#define AT_ONCE		256U

/* struct balloon - @config: guarded by the device's lock; it is the state */
struct balloon {
	struct virtio_device device;
	struct {
		uint32_t num_pages;
		uint32_t actual;
	} config;
};

static struct balloon *balloon_of(struct virtio_device *device)
{
	return (struct balloon *)device;
}

/* struct run - adjacent pages, in ascending or descending order */
struct run {
	uint64_t gpa;
	uint64_t size;
};

static void punch(struct machine *machine, struct run *run)
{
	void *host = run->size ? machine_shared(machine, run->gpa, run->size) : NULL;

	if (host)
		machine_discard(machine, host, run->size);
	run->size = 0;
}

/* Skip numbers that are not pages of the guest's memory. */
static void add_page(struct machine *machine, struct run *run, uint32_t pfn)
{
	uint64_t gpa = (uint64_t)pfn << VIRTIO_BALLOON_PFN_SHIFT;
	uint64_t from = gpa + PAGE == run->gpa ? gpa : run->gpa;

	if (!machine_shared(machine, gpa, PAGE))
		return;
	if (run->size && (gpa == run->gpa + run->size || from == gpa) &&
	    machine_shared(machine, from, run->size + PAGE)) {
		run->gpa = from;
		run->size += PAGE;
		return;
	}
	punch(machine, run);
	*run = (struct run){ .gpa = gpa, .size = PAGE };
}

static bool inflate(struct virtio_device *device, struct virtq_chain *chain)
{
	uint32_t pfns[AT_ONCE];
	struct run run = { .size = 0 };
	uint64_t at, got, i;

	for (at = 0; at < PFNS * sizeof(*pfns); at += got) {
		got = virtq_read(chain, at, pfns, sizeof(pfns));
		for (i = 0; i < got / sizeof(*pfns); i++)
			add_page(device->machine, &run, pfns[i]);
		if (got < sizeof(pfns))
			break;
	}
	punch(device->machine, &run);
	virtq_push(&device->queues[INFLATE], chain->head, 0);
	return true;
}

/* Nothing to do: a page that the guest takes back comes at its first touch. */
static bool deflate(struct virtio_device *device, struct virtq_chain *chain)
{
	virtq_push(&device->queues[DEFLATE], chain->head, 0);
	return true;
}

static bool take_report(struct virtio_device *device, struct virtq_chain *chain)
{
	uint16_t i;

	for (i = 0; i < chain->nr_in; i++)
		machine_discard(device->machine, chain->iov[chain->nr_out + i].iov_base,
				chain->iov[chain->nr_out + i].iov_len);
	virtq_push(chain->queue, chain->head, 0);
	return true;
}

static void kick(struct virtio_device *device, uint16_t queue)
{
	virtio_serve(device, queue, queue == INFLATE ? inflate :
		     queue == DEFLATE ? deflate : take_report);
}

static int start(struct virtio_device *device)
{
	(void)device;
	return 0;
}

static bool reset(struct virtio_device *device)
{
	struct balloon *balloon = balloon_of(device);

	pthread_mutex_lock(&device->lock);
	balloon->config.actual = 0;
	pthread_mutex_unlock(&device->lock);
	return true;
}

static bool idle(const struct virtio_device *device)
{
	(void)device;
	return true;
}

static void close_balloon(struct virtio_device *device)
{
	free(device);
}

static void read_config(struct virtio_device *device, uint32_t offset, void *data,
			uint32_t size)
{
	memcpy(data, (const uint8_t *)&balloon_of(device)->config + offset, size);
}

static void write_config(struct virtio_device *device, uint32_t offset, const void *data,
			 uint32_t size)
{
	struct balloon *balloon = balloon_of(device);

	if (offset == offsetof(struct virtio_balloon_config, actual) &&
	    size == sizeof(balloon->config.actual))
		memcpy(&balloon->config.actual, data, size);
}

static void adopt(struct virtio_device *device, const uint8_t *config)
{
	memcpy(&balloon_of(device)->config, config, sizeof(balloon_of(device)->config));
}

static const struct virtio_ops ops = {
	.name = "balloon", .type = VIRTIO_ID_BALLOON, .class = CLASS_OTHER,
	.start = start, .kick = kick, .reset = reset, .idle = idle, .close = close_balloon,
	.adopt = adopt, .read_config = read_config, .write_config = write_config,
};

int balloon_add(struct machine *machine)
{
	struct balloon *balloon = calloc(1, sizeof(*balloon));

	if (!balloon)
		return -ENOMEM;
	balloon->device.nr_queues = QUEUES;
	balloon->device.config_size = sizeof(balloon->config);
	balloon->device.features = 1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
				   1ULL << VIRTIO_BALLOON_F_REPORTING;
	return virtio_init(&balloon->device, &ops, machine);
}

static struct balloon *find(struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_virtio; i++)
		if (machine->virtio[i]->ops == &ops)
			return balloon_of(machine->virtio[i]);
	return NULL;
}

int balloon_set_target(struct machine *machine, uint64_t bytes)
{
	struct balloon *balloon = find(machine);
	uint64_t memory = 0;
	unsigned int i;

	if (!balloon)
		return -ENODEV;
	for (i = 0; i < machine->nr_memory; i++)
		memory += machine->memory[i].slot.size;
	if (bytes % PAGE || bytes > memory || bytes / PAGE > UINT32_MAX)
		return -EINVAL;
	pthread_mutex_lock(&balloon->device.lock);
	balloon->config.num_pages = bytes / PAGE;
	pthread_mutex_unlock(&balloon->device.lock);
	virtio_config_changed(&balloon->device);
	return 0;
}

uint64_t balloon_actual(struct machine *machine)
{
	struct balloon *balloon = find(machine);
	uint64_t pages;

	if (!balloon)
		return 0;
	pthread_mutex_lock(&balloon->device.lock);
	pages = balloon->config.actual;
	pthread_mutex_unlock(&balloon->device.lock);
	return pages * PAGE;
}
