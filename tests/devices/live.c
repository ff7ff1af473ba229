// SPDX-License-Identifier: MIT
/* The live page: a process that dies at any instant leaves one state or the next, and no other. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "live/live.h"
#include "unit.h"

#define KEPT	(sizeof(struct live_kept) + 512)
#define FIRST	sizeof(struct live_kept)
#define SECOND	(FIRST + 256)

static struct live live;

static const size_t sizes[LIVE_AREAS] = {
	[LIVE_KEPT] = KEPT, [LIVE_TABLES] = 100, [LIVE_CONSOLE] = 300,
};

static int set_up(void **state)
{
	(void)state;
	return live_create(&live, sizes);
}

static int tear_down(void **state)
{
	(void)state;
	live_close(&live);
	return 0;
}

static void put(char first, char second)
{
	char bytes[100];

	memset(bytes, first, sizeof(bytes));
	live_write(&live, FIRST, bytes, sizeof(bytes));
	memset(bytes, second, sizeof(bytes));
	live_write(&live, SECOND, bytes, sizeof(bytes));
}

static const char *kept_of(const struct live *of)
{
	return live_area(of, LIVE_KEPT);
}

static void has(const struct live *of, char first, char second)
{
	size_t i;

	for (i = 0; i < 100; i++) {
		assert_int_equal(kept_of(of)[FIRST + i], first);
		assert_int_equal(kept_of(of)[SECOND + i], second);
	}
	assert_int_equal(kept_of(of)[FIRST + 100], 0);
}

/* The state that the next process finds. */
static void next_has(char first, char second)
{
	struct live next;

	assert_int_equal(live_adopt(&next, live.fd), 0);
	has(&next, first, second);
	live_close(&next);
}

static void areas_are_apart(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < LIVE_AREAS; i++) {
		if (i != LIVE_JOURNAL)
			assert_int_equal(live_area_size(&live, i), sizes[i]);
		memset(live_area(&live, i), i + 1, live_area_size(&live, i));
	}
	for (i = 0; i < LIVE_AREAS; i++) {
		assert_int_equal(*(char *)live_area(&live, i), i + 1);
		assert_int_equal(((char *)live_area(&live, i))[live_area_size(&live, i) - 1],
				 i + 1);
	}
}

static void all_or_nothing(void **state)
{
	(void)state;
	put('a', 'b');
	next_has(0, 0);
	live_commit(&live);
	has(&live, 'a', 'b');
	next_has('a', 'b');
	/* A record that was begun when its process died. */
	put('c', 'd');
	next_has('a', 'b');
	/* The word was said, and nothing, or half of it, is in its place. */
	live_commit(&live);
	live.header->applied--;
	memset((char *)live_area(&live, LIVE_KEPT) + FIRST, 'a', 100);
	memset((char *)live_area(&live, LIVE_KEPT) + SECOND, 'b', 50);
	next_has('c', 'd');
}

/* Nothing was written: there is nothing to say. */
static void nothing_is_no_record(void **state)
{
	(void)state;
	live_commit(&live);
	assert_int_equal(live.header->committed, 0);
	put('a', 'a');
	live_commit(&live);
	live_commit(&live);
	assert_int_equal(live.header->committed, 1);
}

static void many_records(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		put(i, i + 1);
		live_commit(&live);
	}
	next_has((char)999, (char)1000);
}

/* ---- From a process that may have been anything ---- */

static void refused(void)
{
	struct live next;

	assert_int_equal(live_adopt(&next, live.fd), -EBADMSG);
	assert_null(next.header);
}

static void what_is_none_is_refused(void **state)
{
	struct live_header *header = live.header, before = *header;
	struct live next;
	int fd = memfd_create("other", MFD_CLOEXEC);
	unsigned int i;

	(void)state;
	assert_int_equal(live_adopt(&next, fd), -EBADMSG);
	assert_int_equal(ftruncate(fd, 65536), 0);
	assert_int_equal(live_adopt(&next, fd), -EBADMSG);
	assert_int_equal(live_adopt(&next, -1), -EBADMSG);
	assert_false(live_is_ready(fd));
	close(fd);
	for (i = 0; i < LIVE_AREAS; i++) {
		header->areas[i].size = header->size;
		refused();
		header->areas[i].size = UINT64_MAX;
		refused();
		*header = before;
		header->areas[i].offset = header->size + 8;
		refused();
		header->areas[i].offset = 12;
		refused();
		*header = before;
	}
	header->areas[LIVE_KEPT].size = sizeof(struct live_kept) - 1;
	refused();
	*header = before;
	/* One that covers the header, or another: the journal would write to these. */
	header->areas[LIVE_KEPT].offset = 0;
	refused();
	*header = before;
	header->areas[LIVE_KEPT].size = header->size - header->areas[LIVE_KEPT].offset;
	refused();
	*header = before;
	header->areas[LIVE_JOURNAL] = header->areas[LIVE_KEPT];
	refused();
	*header = before;
	header->committed = 2;
	refused();
	*header = before;
	header->version++;
	refused();
	*header = before;
	header->magic[0]++;
	refused();
	/* An unmapping goes by it. */
	*header = before;
}

/* Records with entries of any place and size: nothing behind the areas is touched. */
static void records_of_nonsense(void **state)
{
	static const uint64_t words[] = {
		0, 1, 8, 16, KEPT - 8, KEPT, KEPT + 1, UINT64_MAX, UINT64_MAX - 7, 1ULL << 63,
	};
	const size_t nr = sizeof(words) / sizeof(words[0]);
	uint64_t *record = live_area(&live, LIVE_JOURNAL);
	struct live next;
	size_t i, j, k;

	(void)state;
	live.header->committed = 1;
	memset(record + 2, 0xff, KEPT);
	for (i = 0; i < nr; i++) {
		for (j = 0; j < nr; j++) {
			record[0] = words[i];
			record[1] = words[j];
			assert_int_equal(live_adopt(&next, live.fd), 0);
			for (k = KEPT; k < KEPT + 64; k++)
				assert_int_equal(kept_of(&next)[k], 0);
			live_close(&next);
		}
	}
	/* One that fills all of its area, with no end. */
	for (i = 0; i + 3 <= live_area_size(&live, LIVE_JOURNAL) / 8; i += 3) {
		record[i] = FIRST;
		record[i + 1] = 8;
		record[i + 2] = 0x6161616161616161;
	}
	assert_int_equal(live_adopt(&next, live.fd), 0);
	assert_int_equal(kept_of(&next)[FIRST], 'a');
	assert_int_equal(kept_of(&next)[FIRST + 8], 0);
	live_close(&next);
}

static void words(void **state)
{
	(void)state;
	assert_false(live_is_ready(live.fd));
	assert_false(live_is_ending(live.fd));
	live.header->ready = 1;
	assert_true(live_is_ready(live.fd));
	live.header->ending = 1;
	assert_true(live_is_ending(live.fd));
	/* The helper may be of another version. */
	live.header->version++;
	assert_true(live_is_ready(live.fd));
	assert_true(live_is_ending(live.fd));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(areas_are_apart),
		TEST(all_or_nothing),
		TEST(nothing_is_no_record),
		TEST(many_records),
		TEST(what_is_none_is_refused),
		TEST(records_of_nonsense),
		TEST(words),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
