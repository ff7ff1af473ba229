// SPDX-License-Identifier: MIT
/* A virtio disk: negotiation, resets, ends and successors. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/say.h"
#include "held-disk.h"
#include "one-disk.h"
#include "unit.h"
#include "virtio/block.h"
#include "virtio/inflight.h"

/* ---- What was agreed on ---- */

/* A driver that cannot flush has its writes on the medium when they are done. */
static void without_flushes(void **state)
{
	(void)state;
	assert_int_equal(driver_start(&driver, 1ULL << VIRTIO_BLK_F_WRITE_ZEROES, SIZE),
			 STATUS_OK);
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 512);
	run_disk();
	held_end(0, 512);
	driver_loop(&driver);
	assert_false(anything_answered());
	assert_int_equal(held_step(0)->what, STEP_SYNC);
	held_end(0, -EIO);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_IOERR, 1);
	put_range(0, 0, 1, 1);
	offer(0, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, 16);
	run_disk();
	held_end(0, 0);
	driver_loop(&driver);
	assert_int_equal(held_step(0)->what, STEP_SYNC);
	held_end(0, 0);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_OK, 1);
	/* Features that were not negotiated do not work. */
	offer(0, VIRTIO_BLK_T_DISCARD, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_UNSUPP, 1);
}

static uint64_t config(size_t offset, uint32_t size)
{
	return driver_read(&driver, REG_CONFIG + offset, size);
}

static void its_configuration(void **state)
{
	(void)state;
	assert_int_equal(config(offsetof(struct virtio_blk_config, capacity), 8), SECTORS);
	assert_int_equal(config(offsetof(struct virtio_blk_config, blk_size), 4), 512);
	assert_int_equal(config(offsetof(struct virtio_blk_config, seg_max), 4),
			 VIRTQ_SEGMENTS - 2);
	assert_true(config(offsetof(struct virtio_blk_config, max_discard_sectors), 4) >=
		    SECTORS);
	assert_int_equal(config(offsetof(struct virtio_blk_config, max_discard_seg), 4),
			 DISK_RANGES);
	assert_int_equal(512 << config(offsetof(struct virtio_blk_config,
						physical_block_exp), 1), 4096);
	/* Behind its end there is nothing. */
	assert_int_equal(config(60, 4), 0);
	assert_int_equal(config(58, 4), 0);
	driver_write(&driver, REG_CONFIG, 7, 8);
	assert_int_equal(config(offsetof(struct virtio_blk_config, capacity), 8), SECTORS);
}

/* ---- Resets, ends and successors ---- */

static void one_that_is_not_answered_again(void **state)
{
	(void)state;
	offer(0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	run_disk();
	driver_offer(&driver, 0, 0);
	breaks();
}

static void a_reset_waits_for_what_is_in_flight(void **state)
{
	(void)state;
	memset(driver.memory + DATA, 0xee, 1024);
	offer(0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	offer(3, VIRTIO_BLK_T_IN, 1, DATA + 512, 512);
	run_disk();
	driver_write(&driver, REG_STATUS, 0, 1);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	held_end(0, 512);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	/* A second one changes nothing, nor do doorbells. */
	driver_write(&driver, REG_STATUS, 0, 1);
	run_disk();
	held_end(0, 100);	/* and it is gone on with */
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	held_end(0, 412);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), 0);
	assert_false(anything_answered());
	assert_int_equal(driver.memory[STATUS(0)], 0xee);
	assert_int_equal(driver.memory[STATUS(3)], 0xee);
	assert_int_equal(driver_start(&driver, ALL, SIZE), STATUS_OK);
	offer(0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	carried_out(0, VIRTIO_BLK_S_OK, 513);
}

static void draining(void **state)
{
	(void)state;
	assert_int_equal(virtio_drain_all(&driver.machine, 0), 0);
	offer(0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	run_disk();
	assert_int_equal(virtio_drain_all(&driver.machine, now_ns() + 20000000), -ETIMEDOUT);
	assert_false(driver.device->ops->idle(driver.device));
	held_end(0, 512);
	assert_int_equal(virtio_drain_all(&driver.machine, now_ns() + 20000000000ULL), 0);
	assert_true(driver.device->ops->idle(driver.device));
	answered(0, VIRTIO_BLK_S_OK, 513);
}

/* The table of one device, and the queue as it stands, given to another. */
static void a_successor_asks_again(void **state)
{
	struct virtq_state queue;
	struct inflight table;

	(void)state;
	ask_for_three();
	the_last_ends();
	table = *block_inflight(driver.device, 0);
	queue = driver.device->queues[0].now;
	/* The old one's requests come to nothing. */
	driver.device->queues[0].broken = true;
	held_end(0, -EIO);
	held_end(0, -EIO);
	driver_loop(&driver);
	assert_false(anything_answered());
	/* Its transport is as it was; the queue goes on where it stood. */
	driver.device->started = false;
	*block_inflight(driver.device, 0) = table;
	driver.device->now.queues[0] = queue;
	driver.device->asked = ASKED_START;
	driver_write(&driver, REG_STATUS, STATUS_OK & ~4, 1);
	driver.device->now.status &= ~4;
	driver_write(&driver, REG_STATUS, STATUS_OK, 1);
	driver_loop(&driver);
	two_are_asked_again();
	assert_memory_equal(driver.memory + DATA, driver.memory + DATA + 512, 512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_flushes),
		TEST(its_configuration),
		TEST(one_that_is_not_answered_again),
		TEST(a_reset_waits_for_what_is_in_flight),
		TEST(draining),
		TEST(a_successor_asks_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
