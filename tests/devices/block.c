// SPDX-License-Identifier: MIT
/* A virtio disk, driven as no driver would: each request, each wrong one, any order of ends. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/say.h"
#include "driver.h"
#include "held-disk.h"
#include "unit.h"
#include "virtio/block.h"
#include "virtio/inflight.h"

#define SIZE	64
#define IN	VRING_DESC_F_WRITE
#define NEXT	VRING_DESC_F_NEXT
#define SECTORS	2048UL		/* of the disk: 1 MiB */
#define DISK	(SECTORS * 512)
#define ALL	(~0ULL)

/* Where a request's parts are, by its head. */
#define HEADER(head)	(BUFFERS + (head) * 0x40UL)
#define STATUS(head)	(BUFFERS + (head) * 0x40UL + 0x20)
#define DATA		(BUFFERS + 0x10000)

static struct driver driver;
static char path[64];
static int image;

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

static int set_up(void **state)
{
	(void)state;
	make_image();
	held_use(true);
	held_forget();
	driver_open(&driver);
	add_disk(false);
	return driver_start(&driver, ALL, SIZE) != STATUS_OK;
}

static int tear_down(void **state)
{
	(void)state;
	held_end_all();
	driver_close(&driver);
	close(image);
	unlink(path);
	return 0;
}

static int set_up_readonly(void **state)
{
	(void)state;
	make_image();
	held_use(true);
	held_forget();
	driver_open(&driver);
	add_disk(true);
	return driver_start(&driver, ALL, SIZE) != STATUS_OK;
}

/* ---- Requests ---- */

static void header(uint16_t head, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr is = { .type = type, .sector = sector };

	memcpy(driver.memory + HEADER(head), &is, sizeof(is));
	driver.memory[STATUS(head)] = 0xee;
}

/* As Linux makes one: descriptors @head to @head + 2, data of @size bytes. */
static void offer(uint16_t head, uint32_t type, uint64_t sector, uint64_t data,
		  uint32_t size)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;

	header(head, type, sector);
	driver_desc(&driver, 0, head, HEADER(head), 16, NEXT, size ? head + 1 : head + 2);
	driver_desc(&driver, 0, head + 1, data, size, NEXT | (in ? IN : 0), head + 2);
	driver_desc(&driver, 0, head + 2, STATUS(head), 1, IN, 0);
	driver_offer(&driver, 0, head);
}

static void run(void)
{
	driver_ring(&driver, 0);
	driver_loop(&driver);
}

/* The next one that is answered is this one, with that status and so many bytes. */
static void answered(uint16_t head, uint8_t status, uint32_t size)
{
	uint32_t id = ~0, written = ~0;

	assert_true(driver_used(&driver, 0, &id, &written));
	assert_int_equal(id, head);
	assert_int_equal(driver.memory[STATUS(head)], status);
	assert_int_equal(written, size);
}

static bool anything_answered(void)
{
	uint32_t id, size;

	return driver_used(&driver, 0, &id, &size);
}

/* Answered without anything asked of the disk. */
static void at_once(uint16_t head, uint8_t status, uint32_t size)
{
	run();
	assert_int_equal(held_count(), 0);
	answered(head, status, size);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
}

static void all_end(void)
{
	do {
		held_end_all();
		driver_loop(&driver);
	} while (held_count());
}

static void carried_out(uint16_t head, uint8_t status, uint32_t size)
{
	run();
	all_end();
	answered(head, status, size);
}

/* The device wants a reset, and does nothing until then. */
static void breaks(void)
{
	run();
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK | STATUS_RESET);
	assert_false(anything_answered());
	offer(20, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	run();
	assert_false(anything_answered());
	all_end();
	assert_false(anything_answered());
	assert_int_equal(driver_start(&driver, ALL, SIZE), STATUS_OK);
	offer(20, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	carried_out(20, VIRTIO_BLK_S_OK, 1);
}

static void fill_data(uint32_t size, uint8_t seed)
{
	uint32_t i;

	for (i = 0; i < size; i++)
		driver.memory[DATA + i] = i * 31 + seed;
}

static void image_has(uint64_t offset, uint32_t size, uint8_t seed)
{
	uint8_t byte;
	uint32_t i;

	for (i = 0; i < size; i++) {
		assert_int_equal(pread(image, &byte, 1, offset + i), 1);
		assert_int_equal(byte, (uint8_t)(i * 31 + seed));
	}
}

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
	run();
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
	run();
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
	run();
	held_end(0, 512);
	driver_loop(&driver);
	held_end(0, -EIO);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_IOERR, 512);
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 1024);
	run();
	held_end(0, -ENOSPC);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_IOERR, 1);
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 1024);
	run();
	held_end(0, 0);		/* a write of nothing is no end */
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_IOERR, 1);
	offer(0, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	run();
	held_end(0, -EIO);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_IOERR, 1);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
}

/* What is behind the end of the image is an error; no write makes it longer again. */
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
	header(0, VIRTIO_BLK_T_IN, 0);
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
	header(0, VIRTIO_BLK_T_OUT, 8);
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
	header(0, VIRTIO_BLK_T_IN, 8);
	driver_desc(&driver, 0, 0, HEADER(0), 16, NEXT, 1);
	driver_desc(&driver, 0, 1, DATA + 0x4000, 1, NEXT | IN, 2);
	driver_desc(&driver, 0, 2, DATA + 0x4001, 1024, IN, 0);
	driver.memory[DATA + 0x4400] = 0xee;
	driver_offer(&driver, 0, 0);
	run();
	all_end();
	assert_memory_equal(driver.memory + DATA, driver.memory + DATA + 0x4000, 1024);
	assert_int_equal(driver.memory[DATA + 0x4400], VIRTIO_BLK_S_OK);
}

static void half_a_header(void **state)
{
	(void)state;
	header(0, VIRTIO_BLK_T_FLUSH, 0);
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
	header(0, VIRTIO_BLK_T_OUT, 0);
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
	header(0, VIRTIO_BLK_T_OUT, 0);
	driver_desc(&driver, 0, 0, HEADER(0), 16, NEXT, 1);
	driver_desc(&driver, 0, 1, DATA, 512, NEXT | IN, 2);
	driver_desc(&driver, 0, 2, STATUS(0), 1, IN, 0);
	driver_offer(&driver, 0, 0);
	at_once(0, VIRTIO_BLK_S_IOERR, 0);
	header(0, VIRTIO_BLK_T_IN, 0);
	driver_desc(&driver, 0, 1, DATA, 512, NEXT, 2);
	driver_offer(&driver, 0, 0);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	header(0, VIRTIO_BLK_T_FLUSH, 0);
	driver_offer(&driver, 0, 0);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	header(0, VIRTIO_BLK_T_GET_ID, 0);
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

/* ---- Discarding and zeroing ---- */

static void range(unsigned int i, uint64_t sector, uint32_t count, uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes is = {
		.sector = sector, .num_sectors = count, .flags = flags,
	};

	memcpy(driver.memory + DATA + i * sizeof(is), &is, sizeof(is));
}

static void fill_image(void)
{
	char full[DISK];

	memset(full, 0x55, sizeof(full));
	assert_int_equal(pwrite(image, full, DISK, 0), DISK);
}

static bool is_zero(uint64_t sector)
{
	char bytes[512] = { 1 }, zeroes[512] = { 0 };

	assert_int_equal(pread(image, bytes, 512, sector * 512), 512);
	return !memcmp(bytes, zeroes, 512);
}

static void ranges(uint32_t type)
{
	fill_image();
	range(0, 1, 1, 0);
	range(1, 100, 0, 0);
	range(2, 64, 8, 0);
	offer(0, type, 0, DATA, 3 * 16);
	carried_out(0, VIRTIO_BLK_S_OK, 1);
	assert_false(is_zero(0));
	assert_true(is_zero(1));
	assert_false(is_zero(2));
	assert_false(is_zero(63));
	assert_true(is_zero(64));
	assert_true(is_zero(71));
	assert_false(is_zero(72));
	assert_false(is_zero(100));
}

static void wrong_ranges(uint32_t type)
{
	range(0, SECTORS - 1, 2, 0);
	offer(0, type, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	range(0, UINT64_MAX, 1, 0);
	offer(0, type, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	range(0, (1ULL << 55) - 1, 2, 0);
	offer(0, type, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	range(0, 0, UINT32_MAX, 0);
	offer(0, type, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	range(0, 0, 1, 2);
	offer(0, type, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_UNSUPP, 1);
	range(0, 0, 1, 0);
	range(1, SECTORS, 1, 0);	/* none of it is done then */
	offer(0, type, 0, DATA, 32);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	offer(0, type, 0, DATA, 15);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	offer(0, type, 0, DATA, 0);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	offer(0, type, 0, DATA, 17 * 16);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
}

static void discard(void **state)
{
	(void)state;
	ranges(VIRTIO_BLK_T_DISCARD);
	wrong_ranges(VIRTIO_BLK_T_DISCARD);
	range(0, 0, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	offer(0, VIRTIO_BLK_T_DISCARD, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_UNSUPP, 1);
	/* Where the host can't, it is not done, which is well; nor asked for again. */
	fill_image();
	range(0, 1, 1, 0);
	offer(0, VIRTIO_BLK_T_DISCARD, 0, DATA, 16);
	run();
	held_end(0, -EOPNOTSUPP);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_OK, 1);
	assert_false(is_zero(1));
	offer(0, VIRTIO_BLK_T_DISCARD, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_OK, 1);
}

/* Where the host can neither punch holes nor zero, zeroes are written. */
static void zeroes(void **state)
{
	(void)state;
	ranges(VIRTIO_BLK_T_WRITE_ZEROES);
	wrong_ranges(VIRTIO_BLK_T_WRITE_ZEROES);
	fill_image();
	range(0, 1, 1024, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	offer(0, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, 16);
	run();
	assert_int_equal(held_step(0)->mode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	held_end(0, -EOPNOTSUPP);
	driver_loop(&driver);
	assert_int_equal(held_step(0)->mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	held_end(0, -EOPNOTSUPP);
	driver_loop(&driver);
	assert_int_equal(held_step(0)->what, STEP_WRITE);
	held_end(0, 5000);
	driver_loop(&driver);
	all_end();
	answered(0, VIRTIO_BLK_S_OK, 1);
	assert_false(is_zero(0));
	assert_true(is_zero(1));
	assert_true(is_zero(500));
	assert_true(is_zero(1024));
	assert_false(is_zero(1025));
	/* It is not asked again; one sector is one write. */
	range(0, 2000, 1, 0);
	offer(0, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, 16);
	run();
	assert_int_equal(held_step(0)->what, STEP_WRITE);
	all_end();
	answered(0, VIRTIO_BLK_S_OK, 1);
	assert_true(is_zero(2000));
	assert_false(is_zero(2001));
}

static void readonly(void **state)
{
	(void)state;
	assert_true(driver.features & 1ULL << VIRTIO_BLK_F_RO);
	assert_false(driver.features & 1ULL << VIRTIO_BLK_F_DISCARD);
	fill_image();
	offer(0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	carried_out(0, VIRTIO_BLK_S_OK, 513);
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 512);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	range(0, 0, 1, 0);
	offer(0, VIRTIO_BLK_T_DISCARD, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_UNSUPP, 1);
	offer(0, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_UNSUPP, 1);
	offer(0, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	at_once(0, VIRTIO_BLK_S_OK, 1);
}

/* ---- What was agreed on ---- */

/* A driver that cannot flush has its writes on the medium when they are done. */
static void without_flushes(void **state)
{
	(void)state;
	assert_int_equal(driver_start(&driver, 1ULL << VIRTIO_BLK_F_WRITE_ZEROES, SIZE),
			 STATUS_OK);
	offer(0, VIRTIO_BLK_T_OUT, 0, DATA, 512);
	run();
	held_end(0, 512);
	driver_loop(&driver);
	assert_false(anything_answered());
	assert_int_equal(held_step(0)->what, STEP_SYNC);
	held_end(0, -EIO);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_IOERR, 1);
	range(0, 0, 1, 1);
	offer(0, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, 16);
	run();
	held_end(0, 0);
	driver_loop(&driver);
	assert_int_equal(held_step(0)->what, STEP_SYNC);
	held_end(0, 0);
	driver_loop(&driver);
	answered(0, VIRTIO_BLK_S_OK, 1);
	/* What was not agreed on is not there. */
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
	run();
	driver_offer(&driver, 0, 0);
	breaks();
}

static void a_reset_waits_for_what_is_in_flight(void **state)
{
	(void)state;
	memset(driver.memory + DATA, 0xee, 1024);
	offer(0, VIRTIO_BLK_T_IN, 0, DATA, 512);
	offer(3, VIRTIO_BLK_T_IN, 1, DATA + 512, 512);
	run();
	driver_write(&driver, REG_STATUS, 0, 1);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	held_end(0, 512);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK);
	/* A second one changes nothing, nor do doorbells. */
	driver_write(&driver, REG_STATUS, 0, 1);
	run();
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
	run();
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
	fill_data(512, 1);
	offer(9, VIRTIO_BLK_T_OUT, 4, DATA, 512);
	offer(3, VIRTIO_BLK_T_IN, 4, DATA + 512, 512);
	offer(6, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	run();
	held_end(2, 0);
	driver_loop(&driver);
	answered(6, VIRTIO_BLK_S_OK, 1);
	table = *block_inflight(driver.device);
	queue = driver.device->queues[0].now;
	/* The old one's requests come to nothing. */
	driver.device->queues[0].broken = true;
	held_end(0, -EIO);
	held_end(0, -EIO);
	driver_loop(&driver);
	assert_false(anything_answered());
	/* Its transport is as it was; the queue goes on where it stood. */
	driver.device->started = false;
	*block_inflight(driver.device) = table;
	driver.device->now.queues[0] = queue;
	driver.device->asked = ASKED_START;
	driver_write(&driver, REG_STATUS, STATUS_OK & ~4, 1);
	driver.device->now.status &= ~4;
	driver_write(&driver, REG_STATUS, STATUS_OK, 1);
	driver_loop(&driver);
	assert_int_equal(held_count(), 2);
	assert_int_equal(held_step(0)->what, STEP_WRITE);
	assert_int_equal(held_step(1)->what, STEP_READ);
	all_end();
	answered(9, VIRTIO_BLK_S_OK, 1);
	answered(3, VIRTIO_BLK_S_OK, 513);
	image_has(4 * 512, 512, 1);
	assert_memory_equal(driver.memory + DATA, driver.memory + DATA + 512, 512);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

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
		TEST(discard),
		TEST(zeroes),
		cmocka_unit_test_setup_teardown(readonly, set_up_readonly, tear_down),
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
