// SPDX-License-Identifier: MIT
/* A balloon: which pages are punched, and which are not. */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "driver.h"
#include "unit.h"
#include "virtio/balloon.h"

#define SIZE	8
#define INFLATE	0
#define DEFLATE	1
#define IN	VRING_DESC_F_WRITE
#define NEXT	VRING_DESC_F_NEXT
#define ALL	(~0ULL)
#define VIEW	77
#define PAGE	4096UL

static struct driver driver;
static struct { uint64_t offset, size; } holes[64];
static unsigned int nr_holes;

int __wrap_gmem_punch(int view, uint64_t offset, uint64_t size)
{
	assert_int_equal(view, VIEW);
	assert_true(nr_holes < 64);
	holes[nr_holes].offset = offset;
	holes[nr_holes++].size = size;
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	nr_holes = 0;
	driver_open(&driver);
	driver.machine.memory[0].slot.shared_fd = VIEW;
	driver.machine.memory[0].slot.private_fd = VIEW;
	driver.machine.memory[0].slot.shared_offset = 0x100000;
	assert_int_equal(balloon_add(&driver.machine), 0);
	driver_take(&driver);
	return driver_start(&driver, ALL, SIZE) != STATUS_OK;
}

static int tear_down(void **state)
{
	(void)state;
	driver.machine.memory[0].slot.private_fd = -1;
	driver_close(&driver);
	return 0;
}

static void hole(unsigned int i, uint64_t offset, uint64_t size)
{
	assert_true(i < nr_holes);
	assert_int_equal(holes[i].offset, 0x100000 + offset);
	assert_int_equal(holes[i].size, size);
}

static void go(uint16_t queue, uint64_t at, uint32_t size, uint16_t flags)
{
	uint32_t id, written;

	driver_desc(&driver, queue, 0, at, size, flags, 0);
	driver_go(&driver, queue, 0);
	assert_true(driver_used(&driver, queue, &id, &written));
	assert_int_equal(written, 0);
}

static void give_up(const uint32_t *pfns, size_t nr)
{
	memcpy(driver.memory + BUFFERS, pfns, nr * sizeof(*pfns));
	go(INFLATE, BUFFERS, nr * sizeof(*pfns), 0);
}

static void pages_given_up_are_punched_by_runs(void **state)
{
	static const uint32_t pfns[] = { 8, 9, 10, 30, 29, 28, 50, 8 };

	(void)state;
	give_up(pfns, 8);
	assert_int_equal(nr_holes, 4);
	hole(0, 8 * PAGE, 3 * PAGE);
	hole(1, 28 * PAGE, 3 * PAGE);
	hole(2, 50 * PAGE, PAGE);
	hole(3, 8 * PAGE, PAGE);
}

static void numbers_outside_memory_are_passed_over(void **state)
{
	static const uint32_t pfns[] = {
		MEMORY / PAGE, 0xffffffff, 0x80000000, MEMORY / PAGE - 1, MEMORY / PAGE,
		0xfffff, 0x100000, 0, 0xffffffff,
	};

	(void)state;
	give_up(pfns, 9);
	assert_int_equal(nr_holes, 2);
	hole(0, MEMORY - PAGE, PAGE);
	hole(1, 0, PAGE);
}

static void requests_of_any_shape_are_answered(void **state)
{
	(void)state;
	go(INFLATE, BUFFERS, 3, 0);		/* no whole number */
	go(INFLATE, BUFFERS, 0, 0);
	go(INFLATE, BUFFERS, 64, IN);
	go(DEFLATE, BUFFERS, 64, 0);
	assert_int_equal(nr_holes, 0);
	memset(driver.memory + BUFFERS, 0, 8);
	go(INFLATE, BUFFERS, 7, 0);
	assert_int_equal(nr_holes, 1);
	/* 4 GiB of numbers: the first of them are enough. */
	go(INFLATE, HUGE_GPA, 0xfffffffc, 0);
	assert_true(nr_holes > 1);
}

static void reports_are_punched_whichever_queue_they_come_by(void **state)
{
	uint16_t queue;

	(void)state;
	for (queue = 2; queue < 5; queue++) {
		nr_holes = 0;
		driver_desc(&driver, queue, 0, 16 * PAGE, 4 * PAGE, IN | NEXT, 1);
		go(queue, 16 * PAGE, 4 * PAGE, IN);
		hole(0, 16 * PAGE, 4 * PAGE);
		assert_int_equal(nr_holes, 1);
	}
}

static void of_a_report_whole_pages_alone(void **state)
{
	(void)state;
	go(2, 16 * PAGE + 1, 4 * PAGE, IN);
	go(2, 40 * PAGE + 1, PAGE, IN);
	go(2, 50 * PAGE, PAGE - 1, IN);
	go(2, 60 * PAGE, PAGE, 0);		/* nothing to write to: no report */
	assert_int_equal(nr_holes, 1);
	hole(0, 17 * PAGE, 3 * PAGE);
}

static void a_report_outside_memory_needs_a_reset(void **state)
{
	(void)state;
	driver_desc(&driver, 2, 0, MEMORY - PAGE, 2 * PAGE, IN, 0);
	driver_go(&driver, 2, 0);
	assert_true(driver_read(&driver, REG_STATUS, 1) & STATUS_RESET);
	assert_int_equal(nr_holes, 0);
}

static void memory_that_is_in_no_inode_stays(void **state)
{
	(void)state;
	driver.machine.memory[0].slot.private_fd = -1;
	go(2, 16 * PAGE, 4 * PAGE, IN);
	go(2, HUGE_GPA, 4 * PAGE, IN);
	assert_int_equal(nr_holes, 0);
}

static void a_target_is_told(void **state)
{
	(void)state;
	driver_write(&driver, 0x10, 5, 2);
	assert_int_equal(balloon_set_target(&driver.machine, 64 * PAGE), 0);
	driver_loop(&driver);
	assert_int_equal(interrupts[5], 1);
	assert_int_equal(driver_read(&driver, REG_CONFIG, 4), 64);
	driver_write(&driver, REG_CONFIG + 4, 60, 4);
	driver_write(&driver, REG_CONFIG, 7, 4);	/* not the driver's */
	assert_int_equal(driver_read(&driver, REG_CONFIG, 4), 64);
	assert_int_equal(balloon_actual(&driver.machine), 60 * PAGE);
	assert_int_equal(driver_start(&driver, ALL, SIZE), STATUS_OK);
	assert_int_equal(balloon_actual(&driver.machine), 0);
	assert_int_equal(driver_read(&driver, REG_CONFIG, 4), 64);
}

static void wrong_targets_are_refused(void **state)
{
	struct machine none = { .nr_virtio = 0 };

	(void)state;
	assert_int_equal(balloon_set_target(&none, 0), -ENODEV);
	assert_int_equal(balloon_actual(&none), 0);
	assert_int_equal(balloon_set_target(&driver.machine, 1), -EINVAL);
	assert_int_equal(balloon_set_target(&driver.machine, MEMORY + HUGE_MEMORY), 0);
	assert_int_equal(balloon_set_target(&driver.machine, MEMORY + HUGE_MEMORY + PAGE),
			 -EINVAL);
	assert_int_equal(balloon_set_target(&driver.machine, 1ULL << 63), -EINVAL);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest claims[] = {
		CLAIM(pages_given_up_are_punched_by_runs),
		CLAIM(numbers_outside_memory_are_passed_over),
		CLAIM(requests_of_any_shape_are_answered),
		CLAIM(reports_are_punched_whichever_queue_they_come_by),
		CLAIM(of_a_report_whole_pages_alone),
		CLAIM(a_report_outside_memory_needs_a_reset),
		CLAIM(memory_that_is_in_no_inode_stays),
		CLAIM(a_target_is_told),
		CLAIM(wrong_targets_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(claims, NULL, NULL);
}
