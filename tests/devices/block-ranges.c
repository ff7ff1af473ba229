// SPDX-License-Identifier: MIT
/* A virtio disk: discarding and zeroing, and one that is read-only. */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "held-disk.h"
#include "one-disk.h"
#include "unit.h"

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
	put_range(0, 1, 1, 0);
	put_range(1, 100, 0, 0);
	put_range(2, 64, 8, 0);
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
	put_range(0, SECTORS - 1, 2, 0);
	offer(0, type, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	put_range(0, UINT64_MAX, 1, 0);
	offer(0, type, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	put_range(0, (1ULL << 55) - 1, 2, 0);
	offer(0, type, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	put_range(0, 0, UINT32_MAX, 0);
	offer(0, type, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_IOERR, 1);
	put_range(0, 0, 1, 2);
	offer(0, type, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_UNSUPP, 1);
	put_range(0, 0, 1, 0);
	put_range(1, SECTORS, 1, 0);	/* none of it is done then */
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
	put_range(0, 0, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	offer(0, VIRTIO_BLK_T_DISCARD, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_UNSUPP, 1);
	/* Where the host can't, it is not done, which is well; nor asked for again. */
	fill_image();
	put_range(0, 1, 1, 0);
	offer(0, VIRTIO_BLK_T_DISCARD, 0, DATA, 16);
	run_disk();
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
	put_range(0, 1, 1024, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	offer(0, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, 16);
	run_disk();
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
	put_range(0, 2000, 1, 0);
	offer(0, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, 16);
	run_disk();
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
	put_range(0, 0, 1, 0);
	offer(0, VIRTIO_BLK_T_DISCARD, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_UNSUPP, 1);
	offer(0, VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, 16);
	at_once(0, VIRTIO_BLK_S_UNSUPP, 1);
	offer(0, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	at_once(0, VIRTIO_BLK_S_OK, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(discard),
		TEST(zeroes),
		cmocka_unit_test_setup_teardown(readonly, disk_set_up_readonly, disk_tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
