// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_gmem.h>
#include <linux/vhost.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/say.h"
#include "machine/machine.h"
#include "virtio/device.h"
#include "virtio/vhost.h"

#define DEVICE	"/dev/vhost-net"
#define QUEUES	2

/* struct vhost_call - the eventfd by which the kernel notifies the driver, and its owner */
struct vhost_call {
	struct event event;
	struct vhost *vhost;
	uint16_t queue;
};

/*
 * struct vhost - an open vhost-net
 * @features: what it can do
 * @device: the device whose queues it has, or NULL
 * @nr: how many queues
 * @failed: an eventfd: the driver has violated the specification
 */
struct vhost {
	int fd;
	int tap;
	uint64_t features;
	struct machine *machine;
	struct virtio_device *device;
	unsigned int nr;
	struct vhost_call calls[QUEUES];
	struct event failed;
};

/* ---- What it tells ---- */

static void tell(struct virtio_device *device, uint16_t queue)
{
	uint16_t vector = __atomic_load_n(&device->now.queues[queue].vector, __ATOMIC_RELAXED);

	msix_signal(&device->msix, vector);
}

static void called(struct event *event, uint32_t ready)
{
	struct vhost_call *call = event->data;
	uint64_t times;

	(void)ready;
	if (read(event->fd, &times, sizeof(times)) > 0 && call->vhost->device)
		tell(call->vhost->device, call->queue);
}

static void failed(struct event *event, uint32_t ready)
{
	struct vhost *vhost = event->data;
	uint64_t times;

	(void)ready;
	if (read(event->fd, &times, sizeof(times)) > 0 && vhost->device)
		virtio_fail(vhost->device);
}

/* ---- Opening ---- */

static int add_event(struct machine *machine, struct event *event)
{
	event->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return event->fd < 0 ? -errno : events_add(&machine->events, event, EPOLLIN);
}

static int add_events(struct vhost *vhost)
{
	unsigned int i;
	int ret = 0;

	vhost->failed = (struct event){ .fd = -1, .ready = failed, .data = vhost };
	for (i = 0; i < QUEUES; i++) {
		struct vhost_call *call = &vhost->calls[i];

		call->vhost = vhost;
		call->queue = i;
		call->event = (struct event){ .fd = -1, .ready = called, .data = call };
	}
	for (i = 0; !ret && i < QUEUES; i++)
		ret = add_event(vhost->machine, &vhost->calls[i].event);
	return ret ? ret : add_event(vhost->machine, &vhost->failed);
}

static int tell_memory(struct vhost *vhost)
{
	const struct machine *machine = vhost->machine;
	struct vhost_memory *table;
	unsigned int i;
	int ret;

	table = calloc(1, sizeof(*table) + machine->nr_memory * sizeof(table->regions[0]));
	if (!table)
		return -ENOMEM;
	for (i = 0; i < machine->nr_memory; i++) {
		const struct machine_memory *memory = &machine->memory[i];

		if (!memory->host)
			continue;
		table->regions[table->nregions++] = (struct vhost_memory_region){
			.guest_phys_addr = memory->slot.gpa,
			.memory_size = memory->slot.size,
			.userspace_addr = (uintptr_t)memory->host,
		};
	}
	ret = ioctl(vhost->fd, VHOST_SET_MEM_TABLE, table) ? -errno : 0;
	free(table);
	return ret;
}

/* The kernel could not read those parts of private memory that this process has not shared yet. */
int vhost_open(struct vhost **opened, struct machine *machine, int tap)
{
	struct vhost *vhost;
	int ret, fd;

	*opened = NULL;
	if (machine->vm_type != KVM_X86_DEFAULT_VM)
		return -EOPNOTSUPP;
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	vhost = calloc(1, sizeof(*vhost));
	if (!vhost) {
		close(fd);
		return -ENOMEM;
	}
	vhost->fd = fd;
	vhost->tap = tap;
	vhost->machine = machine;
	ret = add_events(vhost);
	if (!ret && (ioctl(fd, VHOST_SET_OWNER) ||
		     ioctl(fd, VHOST_GET_FEATURES, &vhost->features)))
		ret = -errno;
	if (!ret)
		ret = tell_memory(vhost);
	if (ret)
		vhost_close(vhost);
	else
		*opened = vhost;
	return ret;
}

static void remove_event(struct machine *machine, struct event *event)
{
	if (event->fd < 0)
		return;
	events_remove(&machine->events, event);
	close(event->fd);
}

void vhost_close(struct vhost *vhost)
{
	unsigned int i;

	if (!vhost)
		return;
	vhost_stop(vhost);
	for (i = 0; i < QUEUES; i++)
		remove_event(vhost->machine, &vhost->calls[i].event);
	remove_event(vhost->machine, &vhost->failed);
	close(vhost->fd);
	free(vhost);
}

/* ---- The queues ---- */

/* The card and the tap carry out the other features by themselves. */
static uint64_t features_of(const struct vhost *vhost, const struct virtio_device *device)
{
	return device->now.driver_features & vhost->features &
	       ~(1ULL << VHOST_NET_F_VIRTIO_NET_HDR);
}

static int set_queue(struct vhost *vhost, struct virtio_device *device, unsigned int i)
{
	const struct virtq *queue = &device->queues[i];
	struct vhost_vring_state size = { .index = i, .num = queue->now.size };
	struct vhost_vring_state next = { .index = i, .num = queue->now.next_avail };
	struct vhost_vring_addr addresses = {
		.index = i, .desc_user_addr = (uintptr_t)queue->desc,
		.avail_user_addr = (uintptr_t)queue->avail,
		.used_user_addr = (uintptr_t)queue->used,
	};
	struct vhost_vring_file kick = { .index = i, .fd = device->doorbells[i].fd };
	struct vhost_vring_file call = { .index = i, .fd = vhost->calls[i].event.fd };
	struct vhost_vring_file wrong = { .index = i, .fd = vhost->failed.fd };

	return ioctl(vhost->fd, VHOST_SET_VRING_NUM, &size) ||
	       ioctl(vhost->fd, VHOST_SET_VRING_BASE, &next) ||
	       ioctl(vhost->fd, VHOST_SET_VRING_ADDR, &addresses) ||
	       ioctl(vhost->fd, VHOST_SET_VRING_KICK, &kick) ||
	       ioctl(vhost->fd, VHOST_SET_VRING_CALL, &call) ||
	       ioctl(vhost->fd, VHOST_SET_VRING_ERR, &wrong) ? -errno : 0;
}

static int set_tap(struct vhost *vhost, unsigned int i, int tap)
{
	struct vhost_vring_file backend = { .index = i, .fd = tap };

	return ioctl(vhost->fd, VHOST_NET_SET_BACKEND, &backend) ? -errno : 0;
}

/* The kernel waits until its thread does not use the queue any more. */
static void take_back(struct vhost *vhost, unsigned int i)
{
	struct virtq *queue = &vhost->device->queues[i];
	struct vhost_vring_state next = { .index = i };

	set_tap(vhost, i, -1);
	if (!ioctl(vhost->fd, VHOST_GET_VRING_BASE, &next))
		queue->now.next_avail = next.num;
	queue->now.next_used = __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE);
	queue->told_valid = false;
	/* The main loop may not have seen the kernel's last signal yet. */
	tell(vhost->device, i);
}

/* While the kernel has the queues, it alone listens to their doorbells. */
static void listen_to_doorbells(struct vhost *vhost, bool ours)
{
	unsigned int i;

	for (i = 0; i < QUEUES; i++)
		events_change(&vhost->machine->events, &vhost->device->doorbells[i],
			      ours ? EPOLLIN : 0);
}

int vhost_start(struct vhost *vhost, struct virtio_device *device)
{
	uint64_t features = features_of(vhost, device);
	unsigned int i;
	int ret = 0;

	if (device->queues[0].broken || device->queues[1].broken)
		return -EPROTO;
	if (ioctl(vhost->fd, VHOST_SET_FEATURES, &features))
		return -errno;
	vhost->device = device;
	vhost->nr = 0;
	listen_to_doorbells(vhost, false);
	for (i = 0; !ret && i < QUEUES; i++) {
		ret = set_queue(vhost, device, i);
		if (!ret)
			ret = set_tap(vhost, i, vhost->tap);
		vhost->nr += !ret;
	}
	if (ret) {
		vhost_stop(vhost);
		return ret;
	}
	for (i = 0; i < QUEUES; i++) {
		event_raise(device->doorbells[i].fd, "showing vhost a queue");
		tell(device, i);
	}
	return 0;
}

void vhost_stop(struct vhost *vhost)
{
	unsigned int i;

	if (!vhost_runs(vhost))
		return;
	for (i = 0; i < vhost->nr; i++)
		take_back(vhost, i);
	/* If devices are held, the release listens to the doorbells again. */
	listen_to_doorbells(vhost, !vhost->machine->held);
	vhost->device = NULL;
}

bool vhost_runs(const struct vhost *vhost)
{
	return vhost && vhost->device;
}
