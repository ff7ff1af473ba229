// SPDX-License-Identifier: MIT
/* A virtio device's registers, its turns in the main loop, and its state; by the rng. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver.h"
#include "unit.h"
#include "virtio/rng.h"
#include "virtio/state.h"

#define SIZE	16
#define IN	VRING_DESC_F_WRITE
#define BYTES	8

static struct driver driver;

static int set_up(void **state)
{
	(void)state;
	driver_open(&driver);
	assert_int_equal(rng_add(&driver.machine), 0);
	driver_take(&driver);
	assert_int_equal(driver_start(&driver, 0, SIZE), STATUS_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	driver_close(&driver);
	return 0;
}

static void offer_many(unsigned int nr)
{
	driver_desc(&driver, 0, 0, BUFFERS, BYTES, IN, 0);
	while (nr--)
		driver_offer(&driver, 0, 0);
}

static unsigned int count_used(void)
{
	unsigned int nr = 0;
	uint32_t id, size;

	while (driver_used(&driver, 0, &id, &size))
		nr++;
	return nr;
}

/* As where a vCPU makes a request available for each that is served. */
static unsigned int served;

static bool serve_and_offer(struct virtio_device *device, struct virtq_chain *chain)
{
	virtq_push(&device->queues[0], chain->head, 0);
	driver_offer(&driver, 0, 0);
	return ++served < 100 * SIZE;
}

static void a_busy_queue_lets_others_have_their_turn(void **state)
{
	uint64_t rung = 0;

	(void)state;
	served = 0;
	offer_many(1);
	virtio_serve(driver.device, 0, serve_and_offer);
	assert_int_equal(served, SIZE);
	/* It comes back to the queue without a doorbell of the driver's. */
	assert_int_equal(read(driver.device->doorbells[0].fd, &rung, sizeof(rung)), sizeof(rung));
	assert_int_equal(rung, 1);
}

static void a_device_runs_until_it_is_reset(void **state)
{
	(void)state;
	driver_write(&driver, REG_STATUS, VIRTIO_CONFIG_S_DRIVER, 1);
	assert_true(driver_read(&driver, REG_STATUS, 1) & VIRTIO_CONFIG_S_DRIVER_OK);
	driver_write(&driver, REG_STATUS, 0, 1);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), 0);
	offer_many(1);
	driver_ring(&driver, 0);
	driver_loop(&driver);
	assert_int_equal(count_used(), 0);
}

static void a_queue_out_of_bounds_is_told(void **state)
{
	(void)state;
	driver_negotiate(&driver, 0);
	driver_set_queue(&driver, 0, SIZE, MEMORY, AVAIL(0), USED(0));
	driver_write(&driver, REG_STATUS, STATUS_OK, 1);
	driver_loop(&driver);
	assert_true(driver_read(&driver, REG_STATUS, 1) & STATUS_RESET);
}

/* ---- State ---- */

static struct virtio_saved saved;

/* Another machine with the same device and the same memory. */
static void move_to_another(void)
{
	uint8_t *memory = malloc(MEMORY);
	uint16_t avail = driver.avail[0], used = driver.used[0];

	virtio_attend_all(&driver.machine);
	assert_int_equal(virtio_drain_all(&driver.machine, 0), 0);
	virtio_save(driver.device, &saved);
	memcpy(memory, driver.memory, MEMORY);
	driver_close(&driver);
	driver_open(&driver);
	memcpy(driver.memory, memory, MEMORY);
	free(memory);
	assert_int_equal(rng_add(&driver.machine), 0);
	driver_take(&driver);
	driver.size = SIZE;
	driver.avail[0] = avail;
	driver.used[0] = used;
}

static void a_restored_device_goes_on(void **state)
{
	(void)state;
	offer_many(3);
	driver_ring(&driver, 0);
	driver_loop(&driver);
	assert_int_equal(count_used(), 3);
	move_to_another();
	assert_int_equal(virtio_restore(driver.device, &saved), 0);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	offer_many(2);
	driver_ring(&driver, 0);
	driver_loop(&driver);
	assert_int_equal(count_used(), 2);
}

static void a_reset_on_its_way_is_carried_out(void **state)
{
	(void)state;
	driver_write(&driver, REG_STATUS, 0, 1);
	move_to_another();
	assert_int_equal(saved.registers.status, 0);
	assert_int_equal(saved.registers.queues[0].enabled, 0);
	assert_int_equal(virtio_restore(driver.device, &saved), 0);
	assert_int_equal(driver_start(&driver, 0, SIZE), STATUS_OK);
}

#define REFUSED(change) do {							\
	struct virtio_saved good = saved;					\
										\
	change;									\
	assert_int_equal(virtio_restore(driver.device, &saved), -EINVAL);	\
	saved = good;								\
} while (0)

static void states_of_no_such_device(void **state)
{
	struct virtio_state *registers = &saved.registers;

	(void)state;
	move_to_another();
	REFUSED(saved.type++);
	REFUSED(registers->driver_features = ~0ULL);
	REFUSED(registers->driver_features = 0);
	REFUSED(registers->status &= ~VIRTIO_CONFIG_S_FEATURES_OK);
	REFUSED(registers->config_vector = MSIX_VECTORS);
	REFUSED(registers->queues[0].size = 0);
	REFUSED(registers->queues[0].size = 3);
	REFUSED(registers->queues[0].size = 2 * VIRTQ_SIZE);
	REFUSED(registers->queues[0].enabled = 2);
	REFUSED(registers->queues[0].vector = MSIX_VECTORS);
	REFUSED(registers->status = 0);
	REFUSED(saved.device_config[0] ^= 1);
	assert_int_equal(virtio_restore(driver.device, &saved), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_busy_queue_lets_others_have_their_turn),
		TEST(a_device_runs_until_it_is_reset),
		TEST(a_queue_out_of_bounds_is_told),
		TEST(a_restored_device_goes_on),
		TEST(a_reset_on_its_way_is_carried_out),
		TEST(states_of_no_such_device),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
