// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "machine/machine.h"
#include "virtio/device.h"
#include "virtio/fence.h"

static bool any(const struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_fences; i++)
		if (machine->fences[i].fd >= 0)
			return true;
	return false;
}

static void close_fence(struct machine *machine, struct event *fence)
{
	if (fence->fd < 0)
		return;
	events_remove(&machine->events, fence);
	close(fence->fd);
	fence->fd = -1;
}

/* A hostile process may have written bytes into the pipe: they mean nothing, and are never read. */
static void hung_up(struct event *event, uint32_t ready)
{
	struct machine *machine = event->data;
	unsigned int i;

	(void)ready;
	close_fence(machine, event);
	if (any(machine))
		return;
	machine->nr_fences = 0;
	for (i = 0; i < machine->nr_virtio; i++)
		if (machine->virtio[i]->ops->unfenced)
			machine->virtio[i]->ops->unfenced(machine->virtio[i]);
}

int virtio_add_fence(struct machine *machine, int fd)
{
	struct event *fence = &machine->fences[machine->nr_fences];
	int ret;

	if (machine->nr_fences == MACHINE_FENCES)
		return -E2BIG;
	*fence = (struct event){ .fd = fd, .ready = hung_up, .data = machine };
	ret = events_add(&machine->events, fence, 0);
	if (!ret)
		machine->nr_fences++;
	return ret;
}

void virtio_close_fences(struct machine *machine)
{
	while (machine->nr_fences)
		close_fence(machine, &machine->fences[--machine->nr_fences]);
}
