// SPDX-License-Identifier: MIT
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "held-disk.h"
#include "one-disk.h"
#include "unit.h"
#include "virtio/block.h"

struct driver driver;
int image;

static char path[64];

static void make_image(void)
{
	strcpy(path, "/tmp/gmem-block-XXXXXX");
	image = mkstemp(path);
	assert_true(image >= 0);
	assert_int_equal(ftruncate(image, DISK), 0);
}

static void add_disk(bool readonly)
{
	const struct block_options options = {
		.disk = { .path = path, .readonly = readonly }, .serial = "a serial",
	};
	char why[DISK_WHY];

	assert_int_equal(block_add(&driver.machine, &options, why), 0);
	driver_take(&driver);
}

int disk_set_up_for(unsigned int vcpus, bool readonly)
{
	make_image();
	held_use(true);
	held_forget();
	driver_open(&driver);
	driver.machine.nr_vcpus = vcpus;
	add_disk(readonly);
	return driver_start(&driver, ALL, SIZE) != STATUS_OK;
}

int disk_set_up(void **state)
{
	(void)state;
	return disk_set_up_for(1, false);
}

int disk_set_up_readonly(void **state)
{
	(void)state;
	return disk_set_up_for(1, true);
}

int disk_set_up_queues(void **state)
{
	(void)state;
	return disk_set_up_for(QUEUES, false);
}

int disk_tear_down(void **state)
{
	(void)state;
	held_end_all();
	driver_close(&driver);
	close(image);
	unlink(path);
	return 0;
}

void put_header(uint16_t head, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr is = { .type = type, .sector = sector };

	memcpy(driver.memory + HEADER(head), &is, sizeof(is));
	driver.memory[STATUS(head)] = 0xee;
}

void offer_in(uint16_t queue, uint16_t head, uint32_t type, uint64_t sector, uint64_t data,
	      uint32_t size)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	uint16_t parts = PARTS(queue, head);

	put_header(parts, type, sector);
	driver_desc(&driver, queue, head, HEADER(parts), 16, NEXT, size ? head + 1 : head + 2);
	driver_desc(&driver, queue, head + 1, data, size, NEXT | (in ? IN : 0), head + 2);
	driver_desc(&driver, queue, head + 2, STATUS(parts), 1, IN, 0);
	driver_offer(&driver, queue, head);
}

void offer(uint16_t head, uint32_t type, uint64_t sector, uint64_t data, uint32_t size)
{
	offer_in(0, head, type, sector, data, size);
}

void put_range(unsigned int i, uint64_t sector, uint32_t count, uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes is = {
		.sector = sector, .num_sectors = count, .flags = flags,
	};

	memcpy(driver.memory + DATA + i * sizeof(is), &is, sizeof(is));
}

void run_disk(void)
{
	driver_ring(&driver, 0);
	driver_loop(&driver);
}

void answered_in(uint16_t queue, uint16_t head, uint8_t status, uint32_t size)
{
	uint32_t id = ~0, written = ~0;

	assert_true(driver_used(&driver, queue, &id, &written));
	assert_int_equal(id, head);
	assert_int_equal(driver.memory[STATUS(PARTS(queue, head))], status);
	assert_int_equal(written, size);
}

void answered(uint16_t head, uint8_t status, uint32_t size)
{
	answered_in(0, head, status, size);
}

bool anything_answered(void)
{
	uint32_t id, size;

	return driver_used(&driver, 0, &id, &size);
}

void at_once(uint16_t head, uint8_t status, uint32_t size)
{
	run_disk();
	assert_int_equal(held_count(), 0);
	answered(head, status, size);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
}

void all_end(void)
{
	do {
		held_end_all();
		driver_loop(&driver);
	} while (held_count());
}

void carried_out(uint16_t head, uint8_t status, uint32_t size)
{
	run_disk();
	all_end();
	answered(head, status, size);
}

void breaks(void)
{
	run_disk();
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK | STATUS_RESET);
	assert_false(anything_answered());
	offer(20, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	run_disk();
	assert_false(anything_answered());
	all_end();
	assert_false(anything_answered());
	assert_int_equal(driver_start(&driver, ALL, SIZE), STATUS_OK);
	offer(20, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	carried_out(20, VIRTIO_BLK_S_OK, 1);
}

void fill_data(uint32_t size, uint8_t seed)
{
	uint32_t i;

	for (i = 0; i < size; i++)
		driver.memory[DATA + i] = i * 31 + seed;
}

void image_has(uint64_t offset, uint32_t size, uint8_t seed)
{
	uint8_t byte;
	uint32_t i;

	for (i = 0; i < size; i++) {
		assert_int_equal(pread(image, &byte, 1, offset + i), 1);
		assert_int_equal(byte, (uint8_t)(i * 31 + seed));
	}
}

void ask_for_three(void)
{
	fill_data(512, 1);
	offer(9, VIRTIO_BLK_T_OUT, 4, DATA, 512);
	offer(3, VIRTIO_BLK_T_IN, 4, DATA + 512, 512);
	offer(6, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	run_disk();
	assert_int_equal(held_count(), 3);
}

void the_last_ends(void)
{
	held_end(2, 0);
	driver_loop(&driver);
	answered(6, VIRTIO_BLK_S_OK, 1);
}

void two_are_asked_again(void)
{
	assert_int_equal(held_count(), 2);
	assert_int_equal(held_step(0)->what, STEP_WRITE);
	assert_int_equal(held_step(1)->what, STEP_READ);
	all_end();
	answered(9, VIRTIO_BLK_S_OK, 1);
	answered(3, VIRTIO_BLK_S_OK, 513);
	image_has(4 * 512, 512, 1);
}
