// SPDX-License-Identifier: MIT
/* Sets a virtio device up, and serves it in the main loop. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/say.h"
#include "live/publish.h"
#include "machine/machine.h"
#include "virtio/device.h"
#include "virtio/registers.h"

/* ---- What a register has asked for ---- */

/* Report a queue out of bounds: the driver would wait for ever otherwise. */
static void fail_if_broken(struct virtio_device *device)
{
	uint16_t i;

	for (i = 0; i < device->nr_queues; i++) {
		if (!device->queues[i].now.enabled || !device->queues[i].broken)
			continue;
		say("the guest's %s: queue %u can't be served", device->ops->name, i);
		virtio_fail(device);
		return;
	}
}

static void start(struct virtio_device *device)
{
	bool event_idx = virtio_has(device, VIRTIO_RING_F_EVENT_IDX);
	uint16_t i;

	for (i = 0; i < device->nr_queues; i++) {
		device->queues[i].now = device->now.queues[i];
		if (device->queues[i].now.enabled)
			virtq_start(&device->queues[i], device->machine, event_idx);
		else
			device->queues[i].broken = true;
		if (device->recovers)
			virtq_recover(&device->queues[i]);
	}
	if (device->ops->start(device)) {
		device->recovers = false;
		virtio_fail(device);
		return;
	}
	device->recovers = false;
	device->started = true;
	fail_if_broken(device);
	/* Doorbells that rang before this were ignored. */
	for (i = 0; i < device->nr_queues; i++)
		device->ops->kick(device, i);
}

/* The main loop changes registers without an exit: publish them for the next VMM, too. */
static void publish_registers(struct virtio_device *device)
{
	struct machine *machine = device->machine;
	unsigned int i;

	for (i = 0; i < machine->nr_virtio; i++)
		if (machine->virtio[i] == device)
			break;
	pthread_mutex_lock(&machine->device_lock);
	publish(machine, PUBLISH_VIRTIO(i));
	pthread_mutex_unlock(&machine->device_lock);
}

void virtio_reset_done(struct virtio_device *device)
{
	device->resetting = false;
	pthread_mutex_lock(&device->lock);
	registers_reset(device);
	pthread_mutex_unlock(&device->lock);
	publish_registers(device);
}

static void reset(struct virtio_device *device)
{
	if (device->resetting)
		return;
	device->started = false;
	device->recovers = false;
	device->resetting = true;
	if (device->ops->reset(device))
		virtio_reset_done(device);
}

static void attend(struct event *event, uint32_t ready)
{
	struct virtio_device *device = event->data;
	uint64_t rung;
	int asked;

	(void)ready;
	if (read(event->fd, &rung, sizeof(rung)) < 0)
		return;
	pthread_mutex_lock(&device->lock);
	asked = device->asked;
	device->asked = ASKED_NOTHING;
	pthread_mutex_unlock(&device->lock);
	if (asked == ASKED_RESET)
		reset(device);
	else if (asked == ASKED_START && !device->started && !device->resetting)
		start(device);
}

static void kicked(struct event *event, uint32_t ready)
{
	struct virtio_device *device = event->data;
	uint64_t rung;

	(void)ready;
	if (read(event->fd, &rung, sizeof(rung)) < 0 || !device->started)
		return;
	device->ops->kick(device, event - device->doorbells);
}

void virtio_serve(struct virtio_device *device, uint16_t index,
		  bool (*serve)(struct virtio_device *device, struct virtq_chain *chain))
{
	struct virtq *queue = &device->queues[index];
	struct virtq_chain chain;
	uint32_t served = 0;
	int ret;

	if (!device->started || queue->broken || device->machine->held)
		return;
	do {
		virtq_disarm(queue);
		while ((ret = virtq_pop(queue, &chain)) == 1) {
			if (!serve(device, &chain)) {
				virtq_unpop(queue);
				virtio_tell(device, index);
				return;
			}
			/* A guest can add requests as fast as they are served. */
			if (++served < queue->now.size)
				continue;
			virtio_tell(device, index);
			event_raise(device->doorbells[index].fd, "coming back to a queue");
			return;
		}
	} while (!ret && virtq_arm(queue));
	if (ret)
		virtio_fail(device);
	virtio_tell(device, index);
}

/* ---- What the device tells the driver ---- */

bool virtio_has(const struct virtio_device *device, unsigned int feature)
{
	return device->now.driver_features & 1ULL << feature;
}

void virtio_tell(struct virtio_device *device, uint16_t index)
{
	uint16_t vector = __atomic_load_n(&device->now.queues[index].vector, __ATOMIC_RELAXED);

	if (!device->queues[index].broken && virtq_must_tell(&device->queues[index]))
		msix_signal(&device->msix, vector);
}

static void tell_config(struct virtio_device *device, uint8_t status)
{
	uint16_t vector;

	pthread_mutex_lock(&device->lock);
	device->now.status |= status;
	device->now.generation++;
	vector = device->now.config_vector;
	pthread_mutex_unlock(&device->lock);
	publish_registers(device);
	msix_signal(&device->msix, vector);
}

void virtio_config_changed(struct virtio_device *device)
{
	tell_config(device, 0);
}

void virtio_fail(struct virtio_device *device)
{
	tell_config(device, VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* ---- Setting up ---- */

static int open_event(struct virtio_device *device, struct event *event,
		      void (*ready)(struct event *event, uint32_t ready))
{
	event->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	event->ready = ready;
	event->data = device;
	if (event->fd < 0)
		return -errno;
	return events_add(&device->machine->events, event, EPOLLIN);
}

static int open_doorbell(struct virtio_device *device, uint16_t queue)
{
	int ret = open_event(device, &device->doorbells[queue], kicked);

	if (ret)
		return ret;
	return gmem_vm_ioeventfd(device->machine->vm, device->doorbells[queue].fd,
				 registers_doorbell(device, queue), 1);
}

int virtio_init(struct virtio_device *device, const struct virtio_ops *ops,
		struct machine *machine)
{
	uint16_t i;
	int ret;

	device->ops = ops;
	if (machine->nr_virtio == PCI_SLOTS) {
		ops->close(device);
		return -ENOSPC;
	}
	machine->virtio[machine->nr_virtio++] = device;
	device->machine = machine;
	device->features |= 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX |
			    1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	device->attention.fd = -1;
	for (i = 0; i < VIRTIO_QUEUES; i++)
		device->doorbells[i].fd = -1;
	pthread_mutex_init(&device->lock, NULL);
	ret = registers_init(device);
	if (!ret)
		ret = open_event(device, &device->attention, attend);
	for (i = 0; !ret && i < device->nr_queues; i++)
		ret = open_doorbell(device, i);
	return ret;
}

static void close_event(struct virtio_device *device, struct event *event)
{
	if (event->fd < 0)
		return;
	events_remove(&device->machine->events, event);
	close(event->fd);
	event->fd = -1;
}

static void close_transport(struct virtio_device *device)
{
	uint16_t i;

	for (i = 0; i < VIRTIO_QUEUES; i++) {
		if (device->doorbells[i].fd >= 0)
			gmem_vm_ioeventfd(device->machine->vm, device->doorbells[i].fd,
					  registers_doorbell(device, i), 0);
		close_event(device, &device->doorbells[i]);
	}
	close_event(device, &device->attention);
	msix_close(&device->msix);
}

void virtio_attend_all(struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_virtio; i++)
		attend(&machine->virtio[i]->attention, 0);
}

bool virtio_all_idle(const struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_virtio; i++)
		if (!machine->virtio[i]->ops->idle(machine->virtio[i]))
			return false;
	return true;
}

/* Leave its eventfds as they are; the release looks at them again. */
static void listen_to(struct virtio_device *device, uint32_t mask)
{
	uint16_t i;

	events_change(&device->machine->events, &device->attention, mask);
	for (i = 0; i < device->nr_queues; i++)
		events_change(&device->machine->events, &device->doorbells[i], mask);
}

void virtio_hold_all(struct machine *machine)
{
	unsigned int i;

	machine->held = true;
	for (i = 0; i < machine->nr_virtio; i++) {
		struct virtio_device *device = machine->virtio[i];

		listen_to(device, 0);
		if (device->ops->hold)
			device->ops->hold(device);
	}
}

void virtio_release_all(struct machine *machine)
{
	unsigned int i;
	uint16_t queue;

	machine->held = false;
	for (i = 0; i < machine->nr_virtio; i++) {
		struct virtio_device *device = machine->virtio[i];

		listen_to(device, EPOLLIN);
		for (queue = 0; device->started && queue < device->nr_queues; queue++)
			device->ops->kick(device, queue);
	}
}

int virtio_drain_all(struct machine *machine, uint64_t until)
{
	unsigned int i;
	int ret = 0;

	/* While we wait for one device, the others finish as well. */
	for (i = 0; i < machine->nr_virtio; i++) {
		struct virtio_device *device = machine->virtio[i];

		if (device->ops->drain && device->ops->drain(device, until))
			ret = -ETIMEDOUT;
	}
	return ret;
}

void virtio_close_all(struct machine *machine, uint64_t until)
{
	virtio_drain_all(machine, until);
	while (machine->nr_virtio) {
		struct virtio_device *device = machine->virtio[--machine->nr_virtio];

		close_transport(device);
		device->ops->close(device);
	}
}
