// SPDX-License-Identifier: MIT
/*
 * Devices of a process that died, taken over by the next one: the rings have the positions of their
 * queues, a disk's table has its requests, and no request is issued again before the dead process's
 * requests are over.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <unistd.h>

#include "held-disk.h"
#include "one-disk.h"
#include "unit.h"
#include "virtio/block.h"
#include "virtio/fence.h"
#include "virtio/inflight.h"
#include "virtio/state.h"

static struct inflight table;

/* The state that the next process finds; it must not use its own idea of the queue's indexes. */
static void die(void)
{
	struct virtio_device *device = driver.device;

	table = *block_inflight(device, 0);
	device->queues[0].broken = true;
	while (held_count())
		held_end(0, -EIO);
	driver_loop(&driver);
	assert_false(anything_answered());
	device->started = false;
	*block_inflight(device, 0) = table;
	device->now.queues[0].next_avail = 12345;
	device->now.queues[0].next_used = 54321;
}

static void begin_to_recover(void)
{
	driver.device->recovers = true;
	driver.device->now.status &= ~4;
	driver_write(&driver, REG_STATUS, STATUS_OK, 1);
	driver_loop(&driver);
}

/* And one that nobody had taken yet is taken, once. */
static void what_was_in_flight_is_asked_again(void **state)
{
	(void)state;
	ask_for_three();
	the_last_ends();
	die();
	offer(12, VIRTIO_BLK_T_OUT, 8, DATA, 512);
	begin_to_recover();
	assert_int_equal(held_count(), 3);
	held_end(2, 512);
	driver_loop(&driver);
	answered(12, VIRTIO_BLK_S_OK, 1);
	two_are_asked_again();
	assert_false(anything_answered());
	offer(6, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	carried_out(6, VIRTIO_BLK_S_OK, 1);
}

/* The driver was told, and the table was not: it is not carried out a second time. */
static void one_that_was_pushed_last_is_not(void **state)
{
	(void)state;
	ask_for_three();
	the_last_ends();
	die();
	block_inflight(driver.device, 0)->entries[6].in_flight = 1;
	block_inflight(driver.device, 0)->used--;
	begin_to_recover();
	two_are_asked_again();
	assert_false(anything_answered());
}

static void nothing_was_in_flight(void **state)
{
	(void)state;
	offer(9, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	carried_out(9, VIRTIO_BLK_S_OK, 1);
	die();
	begin_to_recover();
	assert_int_equal(held_count(), 0);
	offer(9, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	carried_out(9, VIRTIO_BLK_S_OK, 1);
}

/* By its registers, as they were published: the table is what it was. */
static void all_of_it_is_taken_over(void **state)
{
	struct virtio_saved saved;

	(void)state;
	ask_for_three();
	the_last_ends();
	pthread_mutex_lock(&driver.machine.device_lock);
	virtio_save_registers(driver.device, &saved);
	pthread_mutex_unlock(&driver.machine.device_lock);
	die();
	driver.device->now.status = 0;
	driver.machine.recovers = true;
	assert_int_equal(virtio_restore(driver.device, &saved), 0);
	driver.machine.recovers = false;
	driver_loop(&driver);
	two_are_asked_again();
}

/*
 * If the device was idle and was handed over, no request is issued again, whatever the table says.
 */
static void of_one_that_lives_nothing_is_asked_again(void **state)
{
	struct virtio_saved saved;

	(void)state;
	offer(9, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	carried_out(9, VIRTIO_BLK_S_OK, 1);
	virtio_save(driver.device, &saved);
	die();
	block_inflight(driver.device, 0)->entries[9].in_flight = 1;
	assert_int_equal(virtio_restore(driver.device, &saved), 0);
	driver_loop(&driver);
	assert_int_equal(held_count(), 0);
	offer(9, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	carried_out(9, VIRTIO_BLK_S_OK, 1);
}

/* The driver has asked for it, and nobody has come to do it. */
static void a_reset_that_was_asked_for_is_done(void **state)
{
	struct virtio_saved saved;

	(void)state;
	driver_write(&driver, REG_STATUS, 0, 1);
	virtio_save_registers(driver.device, &saved);
	die();
	driver.machine.recovers = true;
	assert_int_equal(virtio_restore(driver.device, &saved), 0);
	driver.machine.recovers = false;
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), 0);
	assert_int_equal(driver_start(&driver, ALL, SIZE), STATUS_OK);
	offer(6, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	carried_out(6, VIRTIO_BLK_S_OK, 1);
}

/* ---- While its requests may be carried out ---- */

static int pipe_of_the_dead(void)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(virtio_add_fence(&driver.machine, ends[0]), 0);
	return ends[1];
}

static void nothing_is_asked_before(void **state)
{
	int first, second;

	(void)state;
	ask_for_three();
	the_last_ends();
	die();
	first = pipe_of_the_dead();
	second = pipe_of_the_dead();
	begin_to_recover();
	/* No new request is issued either. */
	offer(12, VIRTIO_BLK_T_OUT, 8, DATA, 512);
	run_disk();
	assert_int_equal(held_count(), 0);
	assert_false(driver.device->ops->idle(driver.device));
	/* Bytes in the pipe do not count as its end. */
	assert_int_equal(write(first, "x", 1), 1);
	driver_loop(&driver);
	assert_int_equal(held_count(), 0);
	close(first);
	driver_loop(&driver);
	assert_int_equal(held_count(), 0);
	close(second);
	driver_loop(&driver);
	assert_int_equal(held_count(), 3);
	held_end(2, 512);
	driver_loop(&driver);
	answered(12, VIRTIO_BLK_S_OK, 1);
	two_are_asked_again();
	assert_true(driver.device->ops->idle(driver.device));
}

/* The memory is in use still, whatever the driver wants. */
static void nor_reset(void **state)
{
	int life;

	(void)state;
	ask_for_three();
	die();
	life = pipe_of_the_dead();
	begin_to_recover();
	driver_write(&driver, REG_STATUS, 0, 1);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	assert_int_equal(driver.device->now.reset, 1);
	close(life);
	driver_loop(&driver);
	assert_int_equal(held_count(), 0);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), 0);
	assert_int_equal(driver.device->now.reset, 0);
	assert_int_equal(driver_start(&driver, ALL, SIZE), STATUS_OK);
	offer(6, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	carried_out(6, VIRTIO_BLK_S_OK, 1);
}

/* The driver had asked for it when the process died: the next one waits, too. */
static void nor_a_reset_from_before(void **state)
{
	struct virtio_saved saved;
	int life;

	(void)state;
	ask_for_three();
	driver_write(&driver, REG_STATUS, 0, 1);
	virtio_save_registers(driver.device, &saved);
	die();
	life = pipe_of_the_dead();
	driver.machine.recovers = true;
	assert_int_equal(virtio_restore(driver.device, &saved), 0);
	driver.machine.recovers = false;
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	assert_false(driver.device->ops->idle(driver.device));
	close(life);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), 0);
	assert_int_equal(held_count(), 0);
	assert_int_equal(driver_start(&driver, ALL, SIZE), STATUS_OK);
	offer(6, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	carried_out(6, VIRTIO_BLK_S_OK, 1);
}

/* ---- From untrusted processes ---- */

static uint64_t capacity(void)
{
	uint64_t sectors;

	driver.device->ops->read_config(driver.device, 0, &sectors, sizeof(sectors));
	return le64toh(sectors);
}

static void restore_with(struct virtio_saved *saved, uint64_t sectors)
{
	uint64_t stored = htole64(sectors);

	memcpy(saved->device_config, &stored, sizeof(stored));
	driver.machine.recovers = true;
	assert_int_equal(virtio_restore(driver.device, saved),
			 sectors <= INT64_MAX / 512 ? 0 : -EINVAL);
	driver.machine.recovers = false;
}

/* Its image was made longer, or shorter, meanwhile. */
static void a_disk_keeps_its_size(void **state)
{
	struct virtio_saved saved;
	uint64_t before = capacity();

	(void)state;
	virtio_save_registers(driver.device, &saved);
	restore_with(&saved, before - 1);
	assert_int_equal(capacity(), before - 1);
	restore_with(&saved, before + 8);
	assert_int_equal(capacity(), before + 8);
	restore_with(&saved, 1ULL << 60);
	assert_int_equal(capacity(), before + 8);
}

static void wants_a_reset(void)
{
	begin_to_recover();
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK | STATUS_RESET);
	offer(20, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	run_disk();
	all_end();
	assert_false(anything_answered());
	assert_int_equal(driver_start(&driver, ALL, SIZE), STATUS_OK);
	offer(6, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	carried_out(6, VIRTIO_BLK_S_OK, 1);
}

static void a_table_that_explains_nothing(void **state)
{
	(void)state;
	ask_for_three();
	die();
	block_inflight(driver.device, 0)->used = 40000;
	wants_a_reset();
}

static void a_table_of_nonsense(void **state)
{
	(void)state;
	ask_for_three();
	die();
	memset(block_inflight(driver.device, 0), 0xff, sizeof(struct inflight));
	wants_a_reset();
}

/* Behind the pipe it is the same. */
static void a_table_of_nonsense_later(void **state)
{
	int life;

	(void)state;
	ask_for_three();
	die();
	life = pipe_of_the_dead();
	memset(block_inflight(driver.device, 0), 0xff, sizeof(struct inflight));
	begin_to_recover();
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	close(life);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK | STATUS_RESET);
}

static void more_pipes_than_there_can_be(void **state)
{
	int lives[MACHINE_FENCES], ends[2], i;

	(void)state;
	for (i = 0; i < MACHINE_FENCES; i++)
		lives[i] = pipe_of_the_dead();
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(virtio_add_fence(&driver.machine, ends[0]), -E2BIG);
	close(ends[0]);
	close(ends[1]);
	for (i = 0; i < MACHINE_FENCES; i++)
		close(lives[i]);
	driver_loop(&driver);
	assert_int_equal(driver.machine.nr_fences, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_in_flight_is_asked_again),
		TEST(one_that_was_pushed_last_is_not),
		TEST(nothing_was_in_flight),
		TEST(all_of_it_is_taken_over),
		TEST(of_one_that_lives_nothing_is_asked_again),
		TEST(a_reset_that_was_asked_for_is_done),
		TEST(nothing_is_asked_before),
		TEST(nor_reset),
		TEST(nor_a_reset_from_before),
		TEST(a_disk_keeps_its_size),
		TEST(a_table_that_explains_nothing),
		TEST(a_table_of_nonsense),
		TEST(a_table_of_nonsense_later),
		TEST(more_pipes_than_there_can_be),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
