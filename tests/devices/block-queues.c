// SPDX-License-Identifier: MIT
/* A disk of a guest with several vCPUs: a queue for each. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <unistd.h>

#include "held-disk.h"
#include "one-disk.h"
#include "unit.h"
#include "virtio/block.h"
#include "virtio/inflight.h"

#define TEST_QUEUES(function) \
	cmocka_unit_test_setup_teardown(function, disk_set_up_queues, disk_tear_down)

static int set_up_most(void **state)
{
	(void)state;
	return disk_set_up_for(64, false);
}

static uint64_t told_queues(void)
{
	return driver_read(&driver, REG_CONFIG + offsetof(struct virtio_blk_config, num_queues),
			   2);
}

static bool offers_several(void)
{
	return driver.device->features & 1ULL << VIRTIO_BLK_F_MQ;
}

static void ring(uint16_t queue)
{
	driver_ring(&driver, queue);
	driver_loop(&driver);
}

/* A number of a queue's, each of its own: interrupts since the last look. */
static unsigned int raised(uint16_t queue)
{
	unsigned int number = interrupts[queue];

	interrupts[queue] = 0;
	return number;
}

static void with_one_vcpu_there_is_one(void **state)
{
	(void)state;
	assert_int_equal(driver.device->nr_queues, 1);
	assert_false(offers_several());
	assert_int_equal(told_queues(), 0);
}

static void with_several_there_is_one_each(void **state)
{
	(void)state;
	assert_int_equal(driver_read(&driver, VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	assert_true(offers_several());
	assert_int_equal(told_queues(), QUEUES);
}

static void there_is_an_end_to_that(void **state)
{
	(void)state;
	assert_int_equal(driver.device->nr_queues, VIRTIO_QUEUES);
	assert_int_equal(told_queues(), VIRTIO_QUEUES);
	offer_in(VIRTIO_QUEUES - 1, 0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	ring(VIRTIO_QUEUES - 1);
	all_end();
	answered_in(VIRTIO_QUEUES - 1, 0, VIRTIO_BLK_S_OK, 513);
}

/* The same head in each queue at the same time; and each queue gets its own answer. */
static void each_has_requests_of_its_own(void **state)
{
	uint16_t queue;

	(void)state;
	memset(interrupts, 0, sizeof(interrupts));
	for (queue = 0; queue < QUEUES; queue++) {
		fill_data(512, queue);
		memcpy(driver.memory + DATA + 0x1000 * (queue + 1), driver.memory + DATA, 512);
		offer_in(queue, 5, VIRTIO_BLK_T_OUT, 8 * queue, DATA + 0x1000 * (queue + 1), 512);
		ring(queue);
	}
	assert_int_equal(held_count(), QUEUES);
	held_end(1, 512);
	driver_loop(&driver);
	answered_in(1, 5, VIRTIO_BLK_S_OK, 1);
	assert_int_equal(raised(1), 1);
	assert_int_equal(raised(0), 0);
	assert_int_equal(raised(2), 0);
	all_end();
	answered_in(0, 5, VIRTIO_BLK_S_OK, 1);
	answered_in(2, 5, VIRTIO_BLK_S_OK, 1);
	assert_int_equal(raised(0), 1);
	assert_int_equal(raised(1), 0);
	assert_int_equal(raised(2), 1);
	for (queue = 0; queue < QUEUES; queue++)
		image_has(8 * 512 * queue, 512, queue);
}

/* Without the feature by which used entries are waited for, an interrupt is not for nothing. */
static void who_asked_nothing_is_not_told(void **state)
{
	(void)state;
	assert_int_equal(driver_start(&driver, ALL & ~(1ULL << VIRTIO_RING_F_EVENT_IDX), SIZE),
			 STATUS_OK);
	memset(interrupts, 0, sizeof(interrupts));
	offer_in(2, 0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	driver_ring(&driver, 2);
	driver_loop(&driver);
	raised(2);
	all_end();
	answered_in(2, 0, VIRTIO_BLK_S_OK, 513);
	assert_int_equal(raised(2), 1);
	assert_int_equal(raised(0), 0);
	assert_int_equal(raised(1), 0);
}

/* As many as there can be, in all of them at once: the engine has room. */
static void all_are_full(void **state)
{
	uint16_t queue, head;
	uint32_t id, size;
	unsigned int came = 0;

	(void)state;
	for (queue = 0; queue < QUEUES; queue++) {
		for (head = 0; head < SIZE; head += 3)
			if (head + 2 < SIZE)
				offer_in(queue, head, VIRTIO_BLK_T_IN, 0, DATA, 512);
		driver_ring(&driver, queue);
	}
	driver_loop(&driver);
	assert_int_equal(held_count(), QUEUES * (SIZE / 3));
	all_end();
	for (queue = 0; queue < QUEUES; queue++)
		while (driver_used(&driver, queue, &id, &size))
			came++;
	assert_int_equal(came, QUEUES * (SIZE / 3));
}

static void one_that_is_broken_stops_the_disk(void **state)
{
	(void)state;
	offer_in(1, 4, VIRTIO_BLK_T_IN, 0, DATA, 512);
	ring(1);
	driver_offer(&driver, 1, 4);	/* it is not answered yet */
	ring(1);
	assert_true(driver_read(&driver, REG_STATUS, 1) & STATUS_RESET);
	all_end();
	assert_int_equal(driver_start(&driver, ALL, SIZE), STATUS_OK);
	offer_in(1, 4, VIRTIO_BLK_T_IN, 0, DATA, 512);
	ring(1);
	all_end();
	answered_in(1, 4, VIRTIO_BLK_S_OK, 513);
}

static void a_reset_waits_for_all_of_them(void **state)
{
	(void)state;
	offer_in(0, 0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	offer_in(2, 0, VIRTIO_BLK_T_IN, 0, DATA + 512, 512);
	ring(0);
	ring(2);
	driver_write(&driver, REG_STATUS, 0, 1);
	driver_loop(&driver);
	held_end(0, 512);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	held_end(0, 512);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), 0);
	assert_int_equal(driver_start(&driver, ALL, SIZE), STATUS_OK);
	offer_in(2, 0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	ring(2);
	all_end();
	answered_in(2, 0, VIRTIO_BLK_S_OK, 513);
}

/* A driver that knows of one, as firmware may be, uses the first. */
static void a_driver_need_not_know(void **state)
{
	(void)state;
	driver_negotiate(&driver, ALL & ~(1ULL << VIRTIO_BLK_F_MQ));
	driver.avail[0] = 0;
	driver.used[0] = 0;
	memset(driver.memory + DESC(0), 0, RINGS_SIZE);
	driver_set_queue(&driver, 0, SIZE, DESC(0), AVAIL(0), USED(0));
	driver_write(&driver, REG_STATUS, STATUS_OK, 1);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	offer(0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	carried_out(0, VIRTIO_BLK_S_OK, 513);
}

/* The requests that a queue had in flight are issued again there, and no others. */
static void a_successor_asks_again_in_each(void **state)
{
	struct inflight tables[QUEUES];
	struct virtq_state queues[QUEUES];
	uint16_t i;

	(void)state;
	offer_in(0, 7, VIRTIO_BLK_T_IN, 0, DATA, 512);
	offer_in(2, 7, VIRTIO_BLK_T_IN, 8, DATA + 512, 512);
	ring(0);
	ring(2);
	for (i = 0; i < QUEUES; i++) {
		tables[i] = *block_inflight(driver.device, i);
		queues[i] = driver.device->queues[i].now;
		driver.device->queues[i].broken = true;
	}
	held_end(0, -EIO);
	held_end(0, -EIO);
	driver_loop(&driver);
	driver.device->started = false;
	for (i = 0; i < QUEUES; i++) {
		*block_inflight(driver.device, i) = tables[i];
		driver.device->now.queues[i] = queues[i];
	}
	driver.device->now.status &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	driver_write(&driver, REG_STATUS, STATUS_OK, 1);
	driver_loop(&driver);
	assert_int_equal(held_count(), 2);
	assert_int_equal(held_step(0)->offset, 0);
	assert_int_equal(held_step(1)->offset, 8 * 512);
	all_end();
	answered_in(0, 7, VIRTIO_BLK_S_OK, 513);
	answered_in(2, 7, VIRTIO_BLK_S_OK, 513);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(with_one_vcpu_there_is_one),
		TEST_QUEUES(with_several_there_is_one_each),
		cmocka_unit_test_setup_teardown(there_is_an_end_to_that, set_up_most,
						disk_tear_down),
		TEST_QUEUES(each_has_requests_of_its_own),
		TEST_QUEUES(who_asked_nothing_is_not_told),
		TEST_QUEUES(all_are_full),
		TEST_QUEUES(one_that_is_broken_stops_the_disk),
		TEST_QUEUES(a_reset_waits_for_all_of_them),
		TEST_QUEUES(a_driver_need_not_know),
		TEST_QUEUES(a_successor_asks_again_in_each),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
