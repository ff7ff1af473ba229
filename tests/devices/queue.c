// SPDX-License-Identifier: MIT
/* Queues that no driver would make, and the table of requests in flight. */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "driver.h"
#include "unit.h"
#include "virtio/inflight.h"
#include "virtio/rng.h"

#define SIZE	16
#define IN	VRING_DESC_F_WRITE
#define NEXT	VRING_DESC_F_NEXT
#define INDIRECT VRING_DESC_F_INDIRECT

static struct driver driver;
static struct virtq queue;
static struct virtq_chain chain;

static int set_up(void **state)
{
	(void)state;
	driver_open(&driver);
	driver.size = SIZE;
	queue = (struct virtq){
		.now = {
			.desc = DESC(0), .avail = AVAIL(0), .used = USED(0), .size = SIZE,
			.enabled = 1, .vector = VIRTIO_NO_VECTOR,
		},
	};
	virtq_start(&queue, &driver.machine, false);
	assert_false(queue.broken);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	driver_close(&driver);
	return 0;
}

static void desc(uint16_t i, uint64_t address, uint32_t size, uint16_t flags, uint16_t next)
{
	driver_desc(&driver, 0, i, address, size, flags, next);
}

/* The chain with this head is not a request; afterwards there are no requests. */
static void breaks(uint16_t head)
{
	driver_offer(&driver, 0, head);
	assert_int_equal(virtq_pop(&queue, &chain), -EPROTO);
	assert_true(queue.broken);
	assert_int_equal(virtq_pop(&queue, &chain), -EPROTO);
	assert_int_equal(virtq_chain_at(&queue, 0, &chain), -EPROTO);
	assert_false(virtq_arm(&queue));
	queue.broken = false;
	queue.now.next_avail = driver.avail[0];
	assert_int_equal(virtq_pop(&queue, &chain), 0);
}

static void a_chain_is_taken_as_it_is(void **state)
{
	(void)state;
	desc(3, BUFFERS, 16, NEXT, 1);
	desc(1, BUFFERS + 100, 0, NEXT, 2);		/* of no bytes: no segment */
	desc(2, BUFFERS + 200, 7, NEXT | IN, 15);
	desc(15, BUFFERS + 300, 1, IN, 0);
	driver_offer(&driver, 0, 3);
	assert_int_equal(virtq_pop(&queue, &chain), 1);
	assert_int_equal(chain.head, 3);
	assert_int_equal(chain.nr_out, 1);
	assert_int_equal(chain.nr_in, 2);
	assert_int_equal(chain.out_size, 16);
	assert_int_equal(chain.in_size, 8);
	assert_ptr_equal(chain.iov[0].iov_base, driver.memory + BUFFERS);
	assert_int_equal(virtq_pop(&queue, &chain), 0);
	virtq_unpop(&queue);
	assert_int_equal(virtq_pop(&queue, &chain), 1);
	assert_int_equal(virtq_chain_at(&queue, 3, &chain), 0);
	assert_int_equal(chain.in_size, 8);
}

static void loops(void **state)
{
	unsigned int i;

	(void)state;
	desc(0, BUFFERS, 1, NEXT, 0);
	breaks(0);
	desc(0, BUFFERS, 1, NEXT, 1);
	desc(1, BUFFERS, 1, NEXT, 0);
	breaks(0);
	desc(1, BUFFERS, 0, NEXT, 0);		/* without any bytes */
	desc(0, BUFFERS, 0, NEXT, 1);
	breaks(0);
	for (i = 0; i < 4; i++)
		driver_indirect(&driver, BUFFERS, i, BUFFERS, 1, NEXT, (i + 1) % 4);
	desc(0, BUFFERS, 4 * 16, INDIRECT, 0);
	breaks(0);
}

static void indexes_that_there_are_not(void **state)
{
	(void)state;
	desc(0, BUFFERS, 1, NEXT, SIZE);
	breaks(0);
	desc(0, BUFFERS, 1, NEXT, 0xffff);
	breaks(0);
	breaks(SIZE);
	breaks(0xffff);
	driver_indirect(&driver, BUFFERS, 0, BUFFERS, 1, NEXT, 1);
	desc(0, BUFFERS, 16, INDIRECT, 0);
	breaks(0);
}

static void tables_in_tables(void **state)
{
	(void)state;
	driver_indirect(&driver, BUFFERS, 0, BUFFERS + 64, 16, INDIRECT, 0);
	driver_indirect(&driver, BUFFERS + 64, 0, BUFFERS, 1, 0, 0);
	desc(0, BUFFERS, 16, INDIRECT, 0);
	breaks(0);
	desc(0, BUFFERS, 16, INDIRECT | NEXT, 1);
	breaks(0);
	desc(0, BUFFERS, 15, INDIRECT, 0);
	breaks(0);
	desc(0, BUFFERS, 0, INDIRECT, 0);
	breaks(0);
	desc(0, BUFFERS, (VIRTQ_SEGMENTS + 1) * 16, INDIRECT, 0);
	breaks(0);
	desc(0, MEMORY - 8, 16, INDIRECT, 0);
	breaks(0);
	desc(0, UINT64_MAX - 8, 16, INDIRECT, 0);
	breaks(0);
	/* Anywhere in memory is well. */
	driver_indirect(&driver, BUFFERS + 3, 0, BUFFERS, 5, 0, 0);
	desc(0, BUFFERS + 3, 16, INDIRECT, 0);
	driver_offer(&driver, 0, 0);
	assert_int_equal(virtq_pop(&queue, &chain), 1);
	assert_int_equal(chain.out_size, 5);
}

static void buffers_outside_memory(void **state)
{
	static const struct { uint64_t address; uint32_t size; } bad[] = {
		{ MEMORY, 1 }, { MEMORY - 1, 2 }, { UINT64_MAX, 1 }, { UINT64_MAX - 15, 16 },
		{ 0, MEMORY + 1 }, { 0, UINT32_MAX }, { HUGE_GPA - 1, 2 },
		{ HUGE_GPA + HUGE_MEMORY - 1, 2 },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		desc(0, bad[i].address, bad[i].size, i % 2 ? IN : 0, 0);
		breaks(0);
	}
	desc(0, MEMORY - 1, 1, 0, 0);
	driver_offer(&driver, 0, 0);
	assert_int_equal(virtq_pop(&queue, &chain), 1);
}

static void what_is_read_behind_what_is_written(void **state)
{
	(void)state;
	desc(0, BUFFERS, 1, NEXT | IN, 1);
	desc(1, BUFFERS, 1, 0, 0);
	breaks(0);
}

/* A table of @nr descriptors of @size bytes each, at BUFFERS. */
static void table(uint16_t nr, uint64_t address, uint32_t size, uint16_t flags)
{
	uint16_t i;

	for (i = 0; i < nr; i++)
		driver_indirect(&driver, BUFFERS, i, address, size,
				flags | (i + 1 < nr ? NEXT : 0), i + 1);
	desc(0, BUFFERS, nr * 16, INDIRECT, 0);
}

static void as_many_segments_as_there_may_be(void **state)
{
	(void)state;
	table(VIRTQ_SEGMENTS, BUFFERS, 1, 0);
	driver_offer(&driver, 0, 0);
	assert_int_equal(virtq_pop(&queue, &chain), 1);
	assert_int_equal(chain.nr_out, VIRTQ_SEGMENTS);
	/* With one before the table they are too many. */
	desc(1, BUFFERS, 1, NEXT, 0);
	breaks(1);
}

static void as_many_bytes_as_there_may_be(void **state)
{
	(void)state;
	table(4, HUGE_GPA, 1U << 30, IN);
	driver_offer(&driver, 0, 0);
	assert_int_equal(virtq_pop(&queue, &chain), 1);
	assert_true(chain.in_size == 1ULL << 32);
	table(5, HUGE_GPA, 1U << 30, IN);
	breaks(0);
	table(2, HUGE_GPA, UINT32_MAX, 0);
	breaks(0);
}

static void an_index_that_jumps(void **state)
{
	(void)state;
	desc(0, BUFFERS, 1, 0, 0);
	driver.avail[0] = SIZE;
	breaks(0);
	/* Indexes up to the ring's size are valid, even around the end of the counter. */
	queue.now.next_avail = 0xfff8;
	driver.avail[0] = 0xfff8;
	while (driver.avail[0] != 8)
		driver_offer(&driver, 0, 0);
	while (queue.now.next_avail != 8)
		assert_int_equal(virtq_pop(&queue, &chain), 1);
	assert_int_equal(virtq_pop(&queue, &chain), 0);
	driver.avail[0] = 6;		/* and back */
	breaks(0);
}

/* Is a queue with its rings there refused from the start? */
static void refused(uint64_t descs, uint64_t avail, uint64_t used, uint16_t size)
{
	queue.now.desc = descs;
	queue.now.avail = avail;
	queue.now.used = used;
	queue.now.size = size;
	virtq_start(&queue, &driver.machine, true);
	assert_true(queue.broken);
	assert_int_equal(virtq_pop(&queue, &chain), -EPROTO);
	assert_int_equal(virtq_chain_at(&queue, 0, &chain), -EPROTO);
	virtq_disarm(&queue);
	assert_false(virtq_arm(&queue));
}

static void rings_that_make_no_sense(void **state)
{
	(void)state;
	refused(DESC(0) + 8, AVAIL(0), USED(0), SIZE);
	refused(DESC(0), AVAIL(0) + 1, USED(0), SIZE);
	refused(DESC(0), AVAIL(0), USED(0) + 2, SIZE);
	refused(MEMORY - SIZE * 16 + 16, AVAIL(0), USED(0), SIZE);
	refused(DESC(0), MEMORY - SIZE * 2 - 4, USED(0), SIZE);
	refused(DESC(0), AVAIL(0), MEMORY - SIZE * 8 - 4, SIZE);
	refused(UINT64_MAX - 15, AVAIL(0), USED(0), SIZE);
	refused(DESC(0), UINT64_MAX - 1, USED(0), SIZE);
	refused(DESC(0), AVAIL(0), UINT64_MAX - 3, SIZE);
	refused(DESC(0), AVAIL(0), USED(0), 0);
	refused(DESC(0), AVAIL(0), USED(0), 3);
	refused(DESC(0), AVAIL(0), USED(0), VIRTQ_SIZE * 2);
	refused(MEMORY, MEMORY, MEMORY, SIZE);
}

static void rings_at_the_end_of_memory(void **state)
{
	(void)state;
	queue.now.used = MEMORY - SIZE * 8 - 8;
	virtq_start(&queue, &driver.machine, true);
	assert_false(queue.broken);
	virtq_push(&queue, 1, 2);
	virtq_disarm(&queue);
	assert_false(virtq_arm(&queue));
	assert_true(virtq_must_tell(&queue));
}

/* ---- What is in flight ---- */

static void what_is_in_flight_is_known(void **state)
{
	struct inflight left, now = { .counter = 0 };
	uint16_t heads[VIRTQ_SIZE];

	(void)state;
	inflight_clear(&now, 0);
	assert_true(inflight_begin(&now, 9));
	assert_true(inflight_begin(&now, 2));
	assert_true(inflight_begin(&now, 5));
	assert_false(inflight_begin(&now, 2));
	left = now;
	assert_int_equal(inflight_recover(&left, 0, heads), 3);
	assert_int_equal(heads[0], 9);
	assert_int_equal(heads[1], 2);
	assert_int_equal(heads[2], 5);
	inflight_push(&now, &queue, 2, 7);
	assert_int_equal(queue.now.next_used, 1);
	left = now;
	assert_int_equal(inflight_recover(&left, 1, heads), 2);
	assert_int_equal(heads[0], 9);
	assert_int_equal(heads[1], 5);
	assert_true(inflight_begin(&now, 2));
	inflight_drop(&now, 9);
	assert_int_equal(inflight_recover(&now, 1, heads), 2);
	assert_int_equal(heads[0], 5);
	assert_int_equal(heads[1], 2);
}

/* A process that dies between two of the steps of inflight_push(). */
static void death_in_the_middle_of_a_push(void **state)
{
	uint16_t heads[VIRTQ_SIZE];
	struct inflight before, left;

	(void)state;
	inflight_clear(&before, 0xffff);
	inflight_begin(&before, 1);
	inflight_begin(&before, 2);
	left = before;
	left.last = 2;
	assert_int_equal(inflight_recover(&left, 0xffff, heads), 2);
	left = before;
	left.last = 2;			/* the ring was written, its entry was not */
	assert_int_equal(inflight_recover(&left, 0, heads), 1);
	assert_int_equal(heads[0], 1);
	left = before;
	left.last = 2;
	left.entries[2].in_flight = 0;	/* its entry was, @used was not */
	assert_int_equal(inflight_recover(&left, 0, heads), 1);
	assert_int_equal(left.used, 0);
}

static void tables_that_explain_nothing(void **state)
{
	uint16_t heads[VIRTQ_SIZE];
	struct inflight left;

	(void)state;
	inflight_clear(&left, 7);
	assert_int_equal(inflight_recover(&left, 9, heads), -EPROTO);
	assert_int_equal(inflight_recover(&left, 6, heads), -EPROTO);
	left.last = VIRTQ_SIZE;
	assert_int_equal(inflight_recover(&left, 8, heads), -EPROTO);
	memset(&left, 0xff, sizeof(left));
	left.last = 0;
	assert_int_equal(inflight_recover(&left, left.used, heads), VIRTQ_SIZE);
}

/* ---- All of a device ---- */

static void a_source_of_random_bytes(void **state)
{
	uint32_t id, size, before;

	(void)state;
	assert_int_equal(rng_add(&driver.machine), 0);
	driver_take(&driver);
	assert_int_equal(driver_start(&driver, ~0ULL, SIZE), STATUS_OK);
	desc(0, BUFFERS, 64, IN, 0);
	before = interrupts[0];
	driver_go(&driver, 0, 0);
	assert_true(driver_used(&driver, 0, &id, &size));
	assert_int_equal(id, 0);
	assert_int_equal(size, 64);
	assert_int_equal(interrupts[0], before + 1);
	/* The status reports a broken queue until the device is reset. */
	desc(0, BUFFERS, 64, IN | NEXT, 0);
	driver_go(&driver, 0, 0);
	assert_false(driver_used(&driver, 0, &id, &size));
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), STATUS_OK | STATUS_RESET);
	assert_int_equal(driver_start(&driver, ~0ULL, SIZE), STATUS_OK);
	desc(0, BUFFERS, 8, IN, 0);
	driver_go(&driver, 0, 0);
	assert_true(driver_used(&driver, 0, &id, &size));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_chain_is_taken_as_it_is),
		TEST(loops),
		TEST(indexes_that_there_are_not),
		TEST(tables_in_tables),
		TEST(buffers_outside_memory),
		TEST(what_is_read_behind_what_is_written),
		TEST(as_many_segments_as_there_may_be),
		TEST(as_many_bytes_as_there_may_be),
		TEST(an_index_that_jumps),
		TEST(rings_that_make_no_sense),
		TEST(rings_at_the_end_of_memory),
		TEST(what_is_in_flight_is_known),
		TEST(death_in_the_middle_of_a_push),
		TEST(tables_that_explain_nothing),
		TEST(a_source_of_random_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
