// SPDX-License-Identifier: MIT
/* Closing devices whose requests never end. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/say.h"
#include "driver.h"
#include "unit.h"
#include "virtio/device.h"

#define DISKS	8
#define WAIT	200000000ULL	/* ns */

static struct driver driver;
static unsigned int drained, closed;
static uint64_t deadline;

static int drain(struct virtio_device *device, uint64_t until)
{
	(void)device;
	drained++;
	assert_int_equal(closed, 0);
	assert_true(until == deadline);
	while (now_ns() < until)
		usleep(1000);
	return -ETIMEDOUT;
}

static void close_it(struct virtio_device *device)
{
	closed++;
	free(device);
}

static const struct virtio_ops ops = {
	.name = "stuck", .type = VIRTIO_ID_BLOCK, .drain = drain, .close = close_it,
};

/* However many there are, the end takes no longer than for one. */
static void all_share_one_deadline(void **state)
{
	uint64_t begun;
	int i;

	(void)state;
	driver_open(&driver);
	for (i = 0; i < DISKS; i++) {
		struct virtio_device *device = calloc(1, sizeof(*device));

		device->nr_queues = 1;
		assert_int_equal(virtio_init(device, &ops, &driver.machine), 0);
	}
	begun = now_ns();
	deadline = begun + WAIT;
	virtio_close_all(&driver.machine, deadline);
	/* One after the other would be all of it; a busy host may be late for one. */
	assert_in_range(now_ns() - begun, WAIT, DISKS * WAIT - 1);
	assert_int_equal(drained, DISKS);
	assert_int_equal(closed, DISKS);
	driver_close(&driver);
}

int main(void)
{
	const struct CMUnitTest claims[] = {
		cmocka_unit_test(all_share_one_deadline),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(claims, NULL, NULL);
}
