// SPDX-License-Identifier: MIT
/* The Virtual I/O Device specification 1.2, 5.4: requests are buffers to fill. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#include "virtio/device.h"
#include "virtio/rng.h"

#define CLASS_OTHER	0xff0000
#define AT_ONCE		4096U	/* bytes of a request; the driver asks again if it needs more */

static bool fill(struct virtio_device *device, struct virtq_chain *chain)
{
	char bytes[AT_ONCE];
	uint64_t size = chain->in_size < AT_ONCE ? chain->in_size : AT_ONCE;
	ssize_t got = getrandom(bytes, size, GRND_NONBLOCK);

	virtq_push(&device->queues[0], chain->head,
		   virtq_write(chain, 0, bytes, got < 0 ? 0 : got));
	return true;
}

static void kick(struct virtio_device *device, uint16_t queue)
{
	virtio_serve(device, queue, fill);
}

static int start(struct virtio_device *device)
{
	(void)device;
	return 0;
}

static bool reset(struct virtio_device *device)
{
	(void)device;
	return true;
}

static bool idle(const struct virtio_device *device)
{
	(void)device;
	return true;
}

static void close_rng(struct virtio_device *device)
{
	free(device);
}

static const struct virtio_ops ops = {
	.name = "rng", .type = VIRTIO_ID_RNG, .class = CLASS_OTHER,
	.start = start, .kick = kick, .reset = reset, .idle = idle, .close = close_rng,
};

int rng_add(struct machine *machine)
{
	struct virtio_device *device = calloc(1, sizeof(*device));

	if (!device)
		return -ENOMEM;
	device->nr_queues = 1;
	return virtio_init(device, &ops, machine);
}
