// SPDX-License-Identifier: MIT
/*
 * The keeper: its descriptors come from VMMs that may be hostile, and the kernel says which VMM has
 * the guest; here the test plays the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/say.h"
#include "helper/keeper.h"
#include "live/live.h"
#include "unit.h"

#define MOST	3	/* crashes */

static struct keeper keeper;
static struct events events;
static struct live pages[4];
static unsigned int nr_pages;
static int fate;	/* of the view that was asked for first, and then alive */
static uint64_t now;

int __wrap_gmem_memfd_facts_open(int fd)
{
	return dup(fd);
}

int __wrap_gmem_vm_fate(int info)
{
	int said = fate;

	(void)info;
	fate = GMEM_VM_ALIVE;
	return said;
}

uint64_t __wrap_now_ns(void)
{
	return now;
}

static int set_up(void **state)
{
	const struct helper_plan plan = { .crashes = MOST };

	(void)state;
	fate = GMEM_VM_ALIVE;
	now = 1000000000000ULL;
	nr_pages = 0;
	return events_open(&events) || keeper_open(&keeper, &events, &plan);
}

static int tear_down(void **state)
{
	(void)state;
	keeper_close(&keeper);
	close(keeper.timer.fd);
	events_close(&events);
	while (nr_pages)
		live_close(&pages[--nr_pages]);
	return 0;
}

static int hold(uint32_t number, int fd, pid_t next)
{
	const struct helper_message message = { .kind = HELPER_HOLD, .number = number };
	int ret = keeper_hold(&keeper, &message, fd, next);

	if (ret && fd >= 0)
		close(fd);
	return ret;
}

static int held(uint32_t count, pid_t next)
{
	const struct helper_message message = { .kind = HELPER_HELD, .number = count };

	return keeper_hold(&keeper, &message, -1, next);
}

static int any(void)
{
	return eventfd(0, EFD_CLOEXEC);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* A VMM's page; returns the keeper's descriptor of it. */
static int page(bool ready)
{
	static const size_t sizes[LIVE_AREAS] = { [LIVE_KEPT] = sizeof(struct live_kept) };
	struct live *live = &pages[nr_pages++];

	assert_int_equal(live_create(live, sizes), 0);
	live->header->ready = ready;
	return dup(live->fd);
}

/* All that one needs, and a disk. */
static void give(pid_t next, int live)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[1]);
	assert_int_equal(hold(HELD_NUMBER(HELD_VM, 0), any(), next), 0);
	assert_int_equal(hold(HELD_NUMBER(HELD_VIEW, 0), any(), next), 0);
	assert_int_equal(hold(HELD_NUMBER(HELD_LIVE, 0), live, next), 0);
	assert_int_equal(hold(HELD_NUMBER(HELD_LIFE, 0), ends[0], next), 0);
	assert_int_equal(hold(HELD_NUMBER(HELD_CONFIG, 0), any(), next), 0);
	assert_int_equal(hold(HELD_NUMBER(HELD_CONTROL, 0), any(), next), 0);
	assert_int_equal(hold(HELD_NUMBER(HELD_DISK, 3), any(), next), 0);
	assert_int_equal(held(7, next), 0);
}

/* ---- What is held ---- */

static void what_is_held(void **state)
{
	(void)state;
	assert_false(keeper_is_ready(&keeper));
	give(0, page(true));
	assert_true(keeper_is_ready(&keeper));
	assert_true(is_open(keeper.now.disks[3]));
	assert_false(keeper_is_wanted_end(&keeper));
	pages[0].header->ending = 1;
	assert_true(keeper_is_wanted_end(&keeper));
}

static void numbers_of_nonsense(void **state)
{
	static const uint32_t numbers[] = {
		HELD_NUMBER(HELD_VM, 1), HELD_NUMBER(HELD_REPORT, 255),
		HELD_NUMBER(HELD_DISK, OPTION_VALUES), HELD_NUMBER(HELD_TAP, 255),
		HELD_NUMBER(HELD_KINDS, 0), UINT32_MAX, 1U << 31,
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_int_equal(hold(numbers[i], any(), 0), -EPROTO);
		assert_int_equal(hold(numbers[i], any(), 7), -EPROTO);
	}
	/* Without a descriptor, and a second time. */
	assert_int_equal(hold(HELD_NUMBER(HELD_TAP, 0), -1, 0), -EPROTO);
	assert_int_equal(hold(HELD_NUMBER(HELD_TAP, 0), any(), 0), 0);
	assert_int_equal(hold(HELD_NUMBER(HELD_TAP, 0), any(), 0), -EPROTO);
	assert_false(keeper_is_ready(&keeper));
}

static void not_all_of_it(void **state)
{
	(void)state;
	assert_int_equal(held(0, 0), -EPROTO);
	assert_int_equal(hold(HELD_NUMBER(HELD_VM, 0), any(), 0), 0);
	assert_int_equal(held(1, 0), -EPROTO);
	assert_int_equal(held(UINT32_MAX, 0), -EPROTO);
	assert_false(keeper_is_ready(&keeper));
}

/* A VMM that was taken over meanwhile. */
static void it_does_not_change(void **state)
{
	int before;

	(void)state;
	give(0, page(true));
	before = keeper.now.singles[HELD_VM];
	assert_int_equal(hold(HELD_NUMBER(HELD_VM, 0), any(), 0), -EPROTO);
	assert_int_equal(hold(HELD_NUMBER(HELD_DISK, 4), any(), 0), -EPROTO);
	assert_int_equal(held(7, 0), -EPROTO);
	assert_int_equal(keeper.now.singles[HELD_VM], before);
}

/* ---- Who has the guest ---- */

static void it_goes_on(void **state)
{
	(void)state;
	give(0, page(true));
	assert_true(keeper_settle(&keeper));
	assert_int_equal(keeper.nr_crashes, 1);
}

static void one_that_has_not_run(void **state)
{
	(void)state;
	give(0, page(false));
	assert_false(keeper_settle(&keeper));
}

static void one_that_is_lost(void **state)
{
	(void)state;
	give(0, page(true));
	fate = GMEM_VM_BROKEN;
	assert_false(keeper_settle(&keeper));
	fate = -EBADF;
	assert_false(keeper_settle(&keeper));
	/* It was moved, to nobody that is known. */
	fate = GMEM_VM_MOVED;
	assert_false(keeper_settle(&keeper));
}

/* The next one had it, and died: all is of that one, the page too if it was good. */
static void the_next_one_has_it(void **state)
{
	int before, vm, live;

	(void)state;
	give(0, page(true));
	before = keeper.now.singles[HELD_VM];
	give(7, page(true));
	vm = keeper.next.singles[HELD_VM];
	live = keeper.next.singles[HELD_LIVE];
	fate = GMEM_VM_MOVED;
	assert_true(keeper_has_moved(&keeper));
	fate = GMEM_VM_MOVED;
	assert_true(keeper_settle(&keeper));
	assert_int_equal(keeper.now.singles[HELD_VM], vm);
	assert_int_equal(keeper.now.singles[HELD_LIVE], live);
	assert_false(is_open(before));
	assert_false(keeper.next.whole);
}

static void its_page_was_not_good(void **state)
{
	int vm, live, other;

	(void)state;
	give(0, page(true));
	live = keeper.now.singles[HELD_LIVE];
	give(7, page(false));
	vm = keeper.next.singles[HELD_VM];
	other = keeper.next.singles[HELD_LIVE];
	fate = GMEM_VM_MOVED;
	assert_true(keeper_settle(&keeper));
	assert_int_equal(keeper.now.singles[HELD_VM], vm);
	assert_int_equal(keeper.now.singles[HELD_LIVE], live);
	assert_false(is_open(other));
}

/* Its descriptors are released with the next one's, or when it is known that it has no guest. */
static void the_next_one_has_it_not(void **state)
{
	int first, vm;

	(void)state;
	give(0, page(true));
	vm = keeper.now.singles[HELD_VM];
	give(7, page(true));
	first = keeper.next.singles[HELD_VM];
	assert_false(keeper_has_moved(&keeper));
	assert_int_equal(hold(HELD_NUMBER(HELD_DISK, 0), any(), 8), 0);
	assert_false(is_open(first) && first != keeper.next.disks[0]);
	assert_true(keeper_settle(&keeper));
	assert_int_equal(keeper.now.singles[HELD_VM], vm);
	assert_int_equal(keeper.next.count, 0);
}

static void an_upgrade(void **state)
{
	int vm;

	(void)state;
	give(0, page(true));
	give(7, page(true));
	vm = keeper.next.singles[HELD_VM];
	keeper_adopt(&keeper);
	assert_int_equal(keeper.now.singles[HELD_VM], vm);
	assert_true(keeper_is_ready(&keeper));
	/* One of a release that gives nothing. */
	keeper_adopt(&keeper);
	assert_false(keeper_is_ready(&keeper));
}

/* ---- How often, and what it waits for ---- */

static void not_too_often(void **state)
{
	unsigned int i;

	(void)state;
	give(0, page(true));
	for (i = 0; i < 10 * MOST; i++) {
		assert_true(keeper_settle(&keeper));
		now += (uint64_t)KEEPER_WITHIN * 1000000000 / MOST;
	}
	now -= 1000000000;
	assert_false(keeper_settle(&keeper));
}

static void pipes_that_have_not_hung_up(void **state)
{
	int ends[KEEPER_LIVES + 2][2], i;

	(void)state;
	give(0, page(true));
	for (i = 0; i < 2; i++) {
		nr_pages = 1;
		give(i + 1, page(true));
		assert_int_equal(pipe2(ends[i], O_CLOEXEC), 0);
		close(keeper.next.singles[HELD_LIFE]);
		keeper.next.singles[HELD_LIFE] = ends[i][0];
		keeper_adopt(&keeper);
		live_close(&pages[1]);
	}
	nr_pages = 1;
	/* The first had nobody, the second has. */
	assert_int_equal(keeper.nr_lives, 1);
	assert_int_equal(keeper.lives[0], ends[0][0]);
	close(ends[0][1]);
	close(ends[1][1]);
}

/* A disk that hangs: no VMM is started that would not wait for all of them. */
static void too_many_that_have_not_hung_up(void **state)
{
	int ends[KEEPER_LIVES][2], i;

	(void)state;
	give(0, page(true));
	for (i = 0; i <= KEEPER_LIVES; i++) {
		now += (uint64_t)KEEPER_WITHIN * 1000000000;
		assert_int_equal(keeper_settle(&keeper), i < KEEPER_LIVES);
		if (i == KEEPER_LIVES)
			break;
		close(keeper.now.singles[HELD_LIFE]);
		assert_int_equal(pipe2(ends[i], O_CLOEXEC), 0);
		keeper.now.singles[HELD_LIFE] = ends[i][0];
		nr_pages = 1;
		give(i + 1, page(true));
		keeper_adopt(&keeper);
		live_close(&pages[1]);
		assert_int_equal(keeper.nr_lives, i + 1);
	}
	nr_pages = 1;
	for (i = 0; i < KEEPER_LIVES; i++)
		close(ends[i][1]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_held),
		TEST(numbers_of_nonsense),
		TEST(not_all_of_it),
		TEST(it_does_not_change),
		TEST(it_goes_on),
		TEST(one_that_has_not_run),
		TEST(one_that_is_lost),
		TEST(the_next_one_has_it),
		TEST(its_page_was_not_good),
		TEST(the_next_one_has_it_not),
		TEST(an_upgrade),
		TEST(not_too_often),
		TEST(pipes_that_have_not_hung_up),
		TEST(too_many_that_have_not_hung_up),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
