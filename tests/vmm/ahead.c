// SPDX-License-Identifier: MIT
/* The pages that a page server reads ahead, depending on the requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/page-bits.h"
#include "image/reader.h"
#include "pager/ahead.h"

#define PAGES	4096U
#define WINDOW	16U
#define LENGTH(array)	(sizeof(array) / sizeof((array)[0]))

static struct image image = { .pages = PAGES };
static struct working_set set;
static unsigned char settled[PAGES / 8], reading[PAGES / 8];
static struct ahead ahead;

static void begin(uint32_t window)
{
	memset(settled, 0, sizeof(settled));
	memset(&set, 0, sizeof(set));
	ahead = (struct ahead){
		.image = &image, .set = &set, .window = window,
		.settled = settled, .reading = reading,
	};
}

/* All that is to be read is read and given. Returns how many pages that were. */
static uint32_t give(void)
{
	uint32_t first, count, all = 0, i;

	while ((count = ahead_next(&ahead, true, &first))) {
		assert_in_range(count, 1, READER_CHUNK);
		for (i = 0; i < count; i++) {
			assert_false(page_is_set(settled, first + i));
			page_set(settled, first + i, true);
		}
		all += count;
	}
	return all;
}

/* A guest asks for a page; how many are given. */
static uint32_t ask(uint32_t page)
{
	ahead_want_window(&ahead, page);
	return give();
}

static bool is_given(uint32_t first, uint32_t count)
{
	while (count--) {
		if (!page_is_set(settled, first + count))
			return false;
	}
	return true;
}

static void in_order_grows(void **state)
{
	static const uint32_t given[] = { 16, 32, 64, 128, 256, 512, 512, 512 };
	uint32_t page = 0;
	size_t i;

	(void)state;
	begin(WINDOW);
	for (i = 0; i < LENGTH(given); i++) {
		assert_int_equal(ask(page), given[i]);
		page += given[i];
		assert_true(is_given(0, page));
	}
}

static void out_of_order_does_not(void **state)
{
	static const uint32_t pages[] = { 5, 1000, 37, 2000, 300, 3003, 700 };
	size_t i;

	(void)state;
	begin(WINDOW);
	for (i = 0; i < LENGTH(pages); i++) {
		assert_int_equal(ask(pages[i]), WINDOW);
		assert_true(is_given(pages[i] - pages[i] % WINDOW, WINDOW));
	}
	/* Back to front is another order. */
	begin(WINDOW);
	for (i = 20; i > 0; i--)
		assert_int_equal(ask(i * WINDOW + 3), WINDOW);
}

/* Each stream has its own place, in any order of requests. */
static void several_in_order(void **state)
{
	static const uint32_t begins[] = { 0, 1024, 2048, 3072 };
	uint32_t given = 0, count, i;

	(void)state;
	begin(WINDOW);
	for (count = WINDOW; count <= 256; count *= 2) {
		for (i = 0; i < LENGTH(begins); i++)
			assert_int_equal(ask(begins[i] + given), count);
		given += count;
	}
}

/* The guest is faster than its window: that is no new beginning. */
static void what_is_on_its_way(void **state)
{
	uint32_t page, i;

	(void)state;
	begin(WINDOW);
	assert_int_equal(ask(0), 16);
	assert_int_equal(ask(16), 32);
	for (i = 0; i < 8; i++) {
		page_set(settled, 17 + i, false);
		assert_int_equal(ask(17 + i), 1);
	}
	page = 48;
	assert_int_equal(ask(page), 64);
}

static void single_pages_stay_single(void **state)
{
	uint32_t page;

	(void)state;
	begin(1);
	for (page = 0; page < 50; page++)
		assert_int_equal(ask(page), 1);
}

static void at_the_end(void **state)
{
	(void)state;
	begin(WINDOW);
	assert_int_equal(ask(PAGES - 64), 16);
	assert_int_equal(ask(PAGES - 48), 32);
	assert_int_equal(ask(PAGES - 16), 16);
	assert_true(is_given(PAGES - 64, 64));
}

/* A recorded page gets as many neighbours as it got when it was recorded. */
static void a_set_gives_as_much(void **state)
{
	static uint32_t asked[] = { 0, 16, 1003, 48, 1008, 112 };
	uint32_t all = 0;
	size_t i;

	(void)state;
	begin(WINDOW);
	for (i = 0; i < LENGTH(asked); i++)
		all += ask(asked[i]);

	begin(WINDOW);
	set.pages = asked;
	set.known = LENGTH(asked);
	assert_int_equal(give(), all);
	assert_true(is_given(0, 240));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order_grows),
		cmocka_unit_test(out_of_order_does_not),
		cmocka_unit_test(several_in_order),
		cmocka_unit_test(what_is_on_its_way),
		cmocka_unit_test(single_pages_stay_single),
		cmocka_unit_test(at_the_end),
		cmocka_unit_test(a_set_gives_as_much),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
