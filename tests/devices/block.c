// SPDX-License-Identifier: MIT
/* A virtio disk, driven as no driver would: each request, each wrong one, any order of ends. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "held-disk.h"
#include "one-disk.h"
#include "unit.h"
#include "virtio/block.h"

static void write_and_read(void **state)
{
	(void)state;
	fill_data(1536, 7);
	offer(0, VIRTIO_BLK_T_OUT, 5, DATA, 1536);
	carried_out(0, VIRTIO_BLK_S_OK, 1);
	image_has(5 * 512, 1536, 7);
	offer(3, VIRTIO_BLK_T_IN, 6, DATA + 0x4000, 512);
	carried_out(3, VIRTIO_BLK_S_OK, 513);
	assert_memory_equal(driver.memory + DATA + 0x4000, driver.memory + DATA + 512, 512);
	offer(0, VIRTIO_BLK_T_OUT, SECTORS - 1, DATA, 512);
	carried_out(0, VIRTIO_BLK_S_OK, 1);
}

static void requests_end_in_any_order(void **state)
{
	uint32_t before;

	(void)state;
	offer(0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	offer(3, VIRTIO_BLK_T_IN, 1, DATA, 512);
	offer(6, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	run_disk();
	assert_int_equal(held_count(), 3);
	assert_int_equal(held_step(2)->what, STEP_SYNC);
	assert_false(anything_answered());
	assert_false(driver.device->ops->idle(driver.device));
	before = interrupts[0];
	held_end(1, 512);
	driver_loop(&driver);
	answered(3, VIRTIO_BLK_S_OK, 513);
	assert_int_equal(interrupts[0], before + 1);
	held_end(1, 0);
	held_end(0, 512);
	driver_loop(&driver);
	answered(6, VIRTIO_BLK_S_OK, 1);
	answered(0, VIRTIO_BLK_S_OK, 513);
	assert_true(driver.device->ops->idle(driver.device));
}

static void parts_are_gone_on_with(void **state)
{
	(void)state;
	fill_data(4096, 3);
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 4096);
	run_disk();
	held_end(0, 1000);
	driver_loop(&driver);
	assert_int_equal(held_count(), 1);
	assert_int_equal(held_step(0)->offset, 1000);
	held_end(0, -EINTR);
	driver_loop(&driver);
	held_end(0, -EAGAIN);
	driver_loop(&driver);
	held_end(0, 3000);
	driver_loop(&driver);
	held_end(0, 4096);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_OK, 1);
	image_has(0, 4096, 3);
}

static void errors_of_the_disk(void **state)
{
	(void)state;
	offer(0, VIRTIO_BLK_T_IN, 0, DATA, 1024);
	run_disk();
	held_end(0, 512);
	driver_loop(&driver);
	held_end(0, -EIO);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_IOERR, 512);
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 1024);
	run_disk();
	held_end(0, -ENOSPC);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_IOERR, 1);
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 1024);
	run_disk();
	held_end(0, 0);		/* a write of nothing is no end */
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_IOERR, 1);
	offer(0, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	run_disk();
	held_end(0, -EIO);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_IOERR, 1);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
}

/* Accesses beyond the end of the image are errors; no write makes it longer again. */
static void a_shorter_image(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(ftruncate(image, 1024), 0);
	offer(0, VIRTIO_BLK_T_IN, 0, DATA, 1024);
	carried_out(0, VIRTIO_BLK_S_OK, 1025);
	offer(0, VIRTIO_BLK_T_IN, 1, DATA, 1024);
	carried_out(0, VIRTIO_BLK_S_IOERR, 512);
	offer(0, VIRTIO_BLK_T_IN, 2, DATA, 512);
	carried_out(0, VIRTIO_BLK_S_IOERR, 0);
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 512);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	assert_int_equal(fstat(image, &st), 0);
	assert_int_equal(st.st_size, 1024);
	assert_int_equal(ftruncate(image, DISK), 0);
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 512);
	carried_out(0, VIRTIO_BLK_S_OK, 1);
}

static void places_outside_the_disk(void **state)
{
	static const struct { uint64_t sector; uint32_t size; } bad[] = {
		{ SECTORS, 512 }, { SECTORS - 1, 1024 }, { UINT64_MAX, 512 },
		{ UINT64_MAX >> 9, 512 }, { 1ULL << 55, 512 }, { (1ULL << 55) - 1, 1024 },
		{ 1ULL << 63, 512 }, { SECTORS + 1, 0 },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		offer(0, VIRTIO_BLK_T_OUT, bad[i].sector, DATA, bad[i].size);
		at_once(0, VIRTIO_BLK_S_IOERR, 1);
		offer(0, VIRTIO_BLK_T_IN, bad[i].sector, DATA, bad[i].size);
		at_once(0, VIRTIO_BLK_S_IOERR, !bad[i].size);
	}
	/* Nothing at the end is nothing. */
	offer(0, VIRTIO_BLK_T_IN, SECTORS, DATA, 0);
	at_once(0, VIRTIO_BLK_S_OK, 1);
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 0);
	at_once(0, VIRTIO_BLK_S_OK, 1);
}

static void sizes_that_are_no_sectors(void **state)
{
	(void)state;
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 511);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	offer(0, VIRTIO_BLK_T_IN, 0, DATA, 513);
	at_once(0, VIRTIO_BLK_S_IOERR, 0);
}

/* More than the host does in one call, and than the disk has. */
static void very_large_requests(void **state)
{
	unsigned int i;

	(void)state;
	put_header(0, VIRTIO_BLK_T_IN, 0);
	for (i = 0; i < 3; i++)
		driver_indirect(&driver, DATA, i + 1, HUGE_GPA, 1U << 30, NEXT | IN, i + 2);
	driver_indirect(&driver, DATA, 0, HEADER(0), 16, NEXT, 1);
	driver_indirect(&driver, DATA, 4, STATUS(0), 1, IN, 0);
	driver_desc(&driver, 0, 0, DATA, 5 * 16, VRING_DESC_F_INDIRECT, 0);
	driver_offer(&driver, 0, 0);
	at_once(0, VIRTIO_BLK_S_IOERR, 0);
	/* 4 GiB and a status are more than a request can have. */
	driver_indirect(&driver, DATA, 4, HUGE_GPA, 1U << 30, NEXT | IN, 5);
	driver_indirect(&driver, DATA, 5, STATUS(0), 1, IN, 0);
	driver_desc(&driver, 0, 0, DATA, 6 * 16, VRING_DESC_F_INDIRECT, 0);
	driver_offer(&driver, 0, 0);
	breaks();
}

static void any_cut_into_descriptors(void **state)
{
	unsigned int i;

	(void)state;
	fill_data(1024, 9);
	put_header(0, VIRTIO_BLK_T_OUT, 8);
	/* A byte each of the header; its last one with data; a table for all of it. */
	for (i = 0; i < 15; i++)
		driver_indirect(&driver, DATA + 0x8000, i, HEADER(0) + i, 1, NEXT, i + 1);
	driver.memory[DATA - 1] = 0;	/* the last byte of the sector's number */
	driver_indirect(&driver, DATA + 0x8000, 15, DATA - 1, 1 + 100, NEXT, 16);
	driver_indirect(&driver, DATA + 0x8000, 16, DATA + 100, 924, NEXT, 17);
	driver_indirect(&driver, DATA + 0x8000, 17, STATUS(0), 1, IN, 0);
	driver_desc(&driver, 0, 0, DATA + 0x8000, 18 * 16, VRING_DESC_F_INDIRECT, 0);
	driver_offer(&driver, 0, 0);
	carried_out(0, VIRTIO_BLK_S_OK, 1);
	image_has(8 * 512, 1024, 9);
	/* Read into pieces, the status in one with data. */
	put_header(0, VIRTIO_BLK_T_IN, 8);
	driver_desc(&driver, 0, 0, HEADER(0), 16, NEXT, 1);
	driver_desc(&driver, 0, 1, DATA + 0x4000, 1, NEXT | IN, 2);
	driver_desc(&driver, 0, 2, DATA + 0x4001, 1024, IN, 0);
	driver.memory[DATA + 0x4400] = 0xee;
	driver_offer(&driver, 0, 0);
	run_disk();
	all_end();
	assert_memory_equal(driver.memory + DATA, driver.memory + DATA + 0x4000, 1024);
	assert_int_equal(driver.memory[DATA + 0x4400], VIRTIO_BLK_S_OK);
}

static void half_a_header(void **state)
{
	(void)state;
	put_header(0, VIRTIO_BLK_T_FLUSH, 0);
	driver_desc(&driver, 0, 0, HEADER(0), 15, NEXT, 1);
	driver_desc(&driver, 0, 1, STATUS(0), 1, IN, 0);
	driver_offer(&driver, 0, 0);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	driver_desc(&driver, 0, 0, STATUS(0), 1, IN, 0);
	driver_offer(&driver, 0, 0);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
}

static void no_status(void **state)
{
	(void)state;
	put_header(0, VIRTIO_BLK_T_OUT, 0);
	driver_desc(&driver, 0, 0, HEADER(0), 16, NEXT, 1);
	driver_desc(&driver, 0, 1, DATA, 512, 0, 0);
	driver_offer(&driver, 0, 0);
	breaks();
	driver_desc(&driver, 0, 0, 0, 0, 0, 0);		/* nothing at all */
	driver_offer(&driver, 0, 0);
	breaks();
}

static void data_in_the_wrong_direction(void **state)
{
	(void)state;
	/* To be read by a write, with memory that the device is to write. */
	put_header(0, VIRTIO_BLK_T_OUT, 0);
	driver_desc(&driver, 0, 0, HEADER(0), 16, NEXT, 1);
	driver_desc(&driver, 0, 1, DATA, 512, NEXT | IN, 2);
	driver_desc(&driver, 0, 2, STATUS(0), 1, IN, 0);
	driver_offer(&driver, 0, 0);
	at_once(0, VIRTIO_BLK_S_IOERR, 0);
	put_header(0, VIRTIO_BLK_T_IN, 0);
	driver_desc(&driver, 0, 1, DATA, 512, NEXT, 2);
	driver_offer(&driver, 0, 0);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	put_header(0, VIRTIO_BLK_T_FLUSH, 0);
	driver_offer(&driver, 0, 0);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	put_header(0, VIRTIO_BLK_T_GET_ID, 0);
	driver_offer(&driver, 0, 0);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
}

static void requests_that_there_are_not(void **state)
{
	static const uint32_t types[] = { 2, 3, 5, 9, 10, 12, 14, 15, 0x80000000, 0xffffffff };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		offer(0, types[i], 0, DATA, 512);
		at_once(0, VIRTIO_BLK_S_UNSUPP, 1);
	}
}

static void its_serial(void **state)
{
	static const char padded[BLOCK_SERIAL] = "a serial";

	(void)state;
	memset(driver.memory + DATA, 0xee, 64);
	offer(0, VIRTIO_BLK_T_GET_ID, 0, DATA, 20);
	at_once(0, VIRTIO_BLK_S_OK, 21);
	assert_memory_equal(driver.memory + DATA, padded, 20);
	memset(driver.memory + DATA, 0xee, 64);
	offer(0, VIRTIO_BLK_T_GET_ID, 0, DATA, 3);
	at_once(0, VIRTIO_BLK_S_OK, 4);
	assert_memory_equal(driver.memory + DATA, "a \xee", 2);
	assert_int_equal(driver.memory[DATA + 3], 0xee);
	offer(0, VIRTIO_BLK_T_GET_ID, 0, DATA, 30);
	at_once(0, VIRTIO_BLK_S_OK, 20);
	assert_int_equal(driver.memory[DATA + 20], 0xee);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(write_and_read),
		TEST(requests_end_in_any_order),
		TEST(parts_are_gone_on_with),
		TEST(errors_of_the_disk),
		TEST(a_shorter_image),
		TEST(places_outside_the_disk),
		TEST(sizes_that_are_no_sectors),
		TEST(very_large_requests),
		TEST(any_cut_into_descriptors),
		TEST(half_a_header),
		TEST(no_status),
		TEST(data_in_the_wrong_direction),
		TEST(requests_that_there_are_not),
		TEST(its_serial),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
