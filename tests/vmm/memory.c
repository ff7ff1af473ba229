// SPDX-License-Identifier: MIT
/* A Linux guest's memory: around the hole and, if it is private, shared page by page. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <string.h>
#include <unistd.h>

#include "machine/layout.h"
#include "machine/machine.h"
#include "machine/private.h"

#define GIB	(1UL << 30)
#define PAGE	4096UL

static struct machine machine;

static void make(uint64_t type, uint64_t size)
{
	assert_int_equal(machine_create(&machine, type), 0);
	assert_int_equal(machine_add_ram(&machine, size), 0);
}

static int end(void **state)
{
	(void)state;
	machine_close(&machine);
	return 0;
}

/* Can the host read it? The kernel is asked, which gets no SIGBUS. */
static int can_be_read(const void *at)
{
	int fds[2], ret;

	assert_int_equal(pipe(fds), 0);
	ret = write(fds[1], at, 1);
	close(fds[0]);
	close(fds[1]);
	return ret == 1;
}

static void five_gib_go_around_the_hole(void **state)
{
	struct gmem_facts facts;
	uint64_t gpa;

	(void)state;
	make(KVM_X86_DEFAULT_VM, 5 * GIB);
	assert_int_equal(machine.nr_memory, 2);
	assert_int_equal(machine.nr_fds, 1);
	for (gpa = 0; gpa < 6 * GIB; gpa += GIB / 4) {
		uint64_t *word = machine_shared(&machine, gpa, PAGE);

		assert_int_equal(!word, gpa >= HOLE_START && gpa < HOLE_END);
		if (word)
			*word = ~gpa;
	}
	for (gpa = 0; gpa < 6 * GIB; gpa += GIB / 4)
		if (gpa < HOLE_START || gpa >= HOLE_END)
			assert_int_equal(*(uint64_t *)machine_shared(&machine, gpa, 8), ~gpa);
	assert_null(machine_shared(&machine, HOLE_START - PAGE, 2 * PAGE));
	assert_null(machine_shared(&machine, HOLE_END - PAGE, 2 * PAGE));
	assert_null(machine_shared(&machine, 6 * GIB, 1));
	assert_null(machine_shared(&machine, 0, UINT64_MAX));
	assert_null(machine_shared(&machine, UINT64_MAX, 2));
	assert_int_equal(gmem_memfd_facts(0, machine_view(&machine), &facts), 0);
	assert_int_equal(facts.size, 5 * GIB);
	assert_int_equal(facts.bindings, 2);
	/* It is there where it was touched, by pages or by 2 MiB. */
	assert_in_range(facts.resident, 20, 20 * 512);
}

static void content_is_loaded_on_both_sides(void **state)
{
	static const char text[] = "above";

	(void)state;
	make(KVM_X86_DEFAULT_VM, 4 * GIB);
	assert_int_equal(machine_load(&machine, HOLE_END + PAGE, text, sizeof(text)), 0);
	assert_string_equal(machine_shared(&machine, HOLE_END + PAGE, sizeof(text)), text);
	assert_int_equal(machine_load(&machine, HOLE_START - PAGE, text, sizeof(text)), 0);
	assert_string_equal(machine_shared(&machine, HOLE_START - PAGE, sizeof(text)), text);
	assert_true(machine_load(&machine, HOLE_START, text, sizeof(text)) < 0);
	/* All of it is shared already. */
	assert_int_equal(machine_share(&machine, 0, PAGE), 0);
	assert_int_equal(gmem_convert(machine_view(&machine), 0, PAGE, 1), -EINVAL);
}

static void private_pages_are_shared_one_by_one(void **state)
{
	static char text[2 * PAGE] = "private";
	int view;

	(void)state;
	make(KVM_X86_SW_PROTECTED_VM, 4 * GIB);
	view = machine_view(&machine);
	assert_int_equal(machine_load(&machine, 2 * PAGE, text, sizeof(text)), 0);
	assert_int_equal(machine_load(&machine, HOLE_END, text, 5), 0);
	assert_false(can_be_read(machine_shared(&machine, 2 * PAGE, 1)));
	/* Whole pages, with what is in them; the next one stays private. */
	assert_int_equal(machine_share(&machine, 2 * PAGE + 7, 3), 0);
	assert_string_equal(machine_shared(&machine, 2 * PAGE, 8), "private");
	assert_false(can_be_read(machine_shared(&machine, 3 * PAGE, 1)));
	assert_int_equal(machine_share(&machine, 3 * PAGE - 1, 2), 0);
	assert_true(can_be_read(machine_shared(&machine, 3 * PAGE, 1)));
	assert_int_equal(machine_share(&machine, HOLE_END, 1), 0);
	assert_memory_equal(machine_shared(&machine, HOLE_END, 5), "priva", 5);
	assert_false(can_be_read(machine_shared(&machine, 0, 1)));
	/* And back. */
	assert_int_equal(gmem_convert(view, 2 * PAGE, PAGE, 1), 0);
	assert_false(can_be_read(machine_shared(&machine, 2 * PAGE, 1)));
	assert_true(can_be_read(machine_shared(&machine, 3 * PAGE, 1)));
}

static void what_cannot_be_shared(void **state)
{
	int view;

	(void)state;
	make(KVM_X86_SW_PROTECTED_VM, 64 << 20);
	view = machine_view(&machine);
	assert_int_equal(machine_share(&machine, 64 << 20, 1), -EINVAL);
	assert_int_equal(machine_share(&machine, (64 << 20) - 1, 2), -EINVAL);
	assert_int_equal(machine_share(&machine, 0, 0), -EINVAL);
	assert_int_equal(machine_share(&machine, UINT64_MAX, 1), -EINVAL);
	assert_int_equal(machine_share(&machine, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(gmem_convert(view, 1, PAGE, 0), -EINVAL);
	assert_int_equal(gmem_convert(view, 0, PAGE - 1, 0), -EINVAL);
	assert_int_equal(gmem_convert(view, 0, 0, 0), -EINVAL);
	assert_int_equal(gmem_convert(view, 64 << 20, PAGE, 0), -EINVAL);
	assert_int_equal(gmem_convert(-1, 0, PAGE, 0), -EBADF);
}

#define RANGE(from, length, bits) \
	{ .gpa = (from), .size = (length), .attributes = (bits) }
#define PRIVATE	KVM_MEMORY_ATTRIBUTE_PRIVATE

static void what_is_private_is_told_by_ranges(void **state)
{
	static const struct gmem_range expected[] = {
		RANGE(0, 2 * PAGE, PRIVATE),
		RANGE(4 * PAGE, HOLE_START - 5 * PAGE, PRIVATE),
		RANGE(HOLE_END + PAGE, GIB - PAGE, PRIVATE),
	};
	struct gmem_range ranges[4];

	(void)state;
	make(KVM_X86_SW_PROTECTED_VM, 4 * GIB);
	assert_int_equal(machine_private_ranges(&machine, ranges, 1), -E2BIG);
	assert_int_equal(machine_private_ranges(&machine, ranges, 2), 2);
	assert_int_equal(machine_share(&machine, 2 * PAGE, 2 * PAGE), 0);
	assert_int_equal(machine_share(&machine, HOLE_START - PAGE, PAGE), 0);
	assert_int_equal(machine_share(&machine, HOLE_END, PAGE), 0);
	assert_int_equal(machine_private_ranges(&machine, ranges, 2), -E2BIG);
	assert_int_equal(machine_private_ranges(&machine, ranges, 4), 3);
	assert_memory_equal(ranges, expected, sizeof(expected));
	machine_close(&machine);
	/* Another one with these. */
	make(KVM_X86_SW_PROTECTED_VM, 4 * GIB);
	assert_int_equal(machine_share_rest(&machine, ranges, 3), 0);
	assert_int_equal(machine.nr_shared, 4);
	assert_true(can_be_read(machine_shared(&machine, 3 * PAGE, 1)));
	assert_true(can_be_read(machine_shared(&machine, HOLE_START - PAGE, 1)));
	assert_true(can_be_read(machine_shared(&machine, HOLE_END, 1)));
	assert_false(can_be_read(machine_shared(&machine, PAGE, 1)));
	assert_false(can_be_read(machine_shared(&machine, 4 * PAGE, 1)));
	assert_false(can_be_read(machine_shared(&machine, HOLE_END + PAGE, 1)));
	machine_close(&machine);
	/* None. */
	make(KVM_X86_SW_PROTECTED_VM, 64 << 20);
	assert_int_equal(machine_share_rest(&machine, NULL, 0), 0);
	assert_int_equal(machine.nr_shared, (64 << 20) / PAGE);
	assert_int_equal(machine_private_ranges(&machine, ranges, 4), 0);
	machine_close(&machine);
	make(KVM_X86_DEFAULT_VM, 64 << 20);
	assert_int_equal(machine_private_ranges(&machine, ranges, 4), 0);
	assert_int_equal(machine_share_rest(&machine, NULL, 0), 0);
}

static void wrong_ranges(void **state)
{
	static const struct gmem_range wrong[][2] = {
		{ RANGE(0, PAGE, 0), RANGE(PAGE, PAGE, PRIVATE) },
		{ RANGE(0, PAGE, PRIVATE | 1), RANGE(PAGE, PAGE, PRIVATE) },
		{ RANGE(PAGE, PAGE, PRIVATE), RANGE(0, PAGE, PRIVATE) },
		{ RANGE(0, 2 * PAGE, PRIVATE), RANGE(PAGE, PAGE, PRIVATE) },
		{ RANGE(0, PAGE, PRIVATE), RANGE(HOLE_START - PAGE, 2 * PAGE, PRIVATE) },
		{ RANGE(0, PAGE, PRIVATE), RANGE(HOLE_START, PAGE, PRIVATE) },
		{ RANGE(0, PAGE, PRIVATE), RANGE(5 * GIB, PAGE, PRIVATE) },
		{ RANGE(0, PAGE, PRIVATE), RANGE(UINT64_MAX - PAGE + 1, PAGE, PRIVATE) },
	};
	size_t i;

	(void)state;
	make(KVM_X86_SW_PROTECTED_VM, 4 * GIB);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(machine_share_rest(&machine, wrong[i], 2), -EPROTO);
	assert_int_equal(machine.nr_shared, 0);
	assert_false(can_be_read(machine_shared(&machine, 3 * PAGE, 1)));
}

static void what_was_exposed_is_private_again(void **state)
{
	static char text[4 * PAGE] = "private";
	const struct machine_memory *memory = &machine.memory[0];

	(void)state;
	make(KVM_X86_SW_PROTECTED_VM, 64 << 20);
	assert_int_equal(machine_load(&machine, 0, text, sizeof(text)), 0);
	assert_int_equal(machine_share(&machine, PAGE, PAGE), 0);
	assert_int_equal(machine_expose(&machine, memory, 0, 3 * PAGE, true), 0);
	assert_string_equal(machine_shared(&machine, 0, 8), "private");
	assert_true(can_be_read(machine_shared(&machine, 2 * PAGE, 1)));
	assert_false(can_be_read(machine_shared(&machine, 3 * PAGE, 1)));
	assert_int_equal(machine.nr_shared, 1);
	assert_int_equal(machine_expose(&machine, memory, 0, 3 * PAGE, false), 0);
	assert_false(can_be_read(machine_shared(&machine, 0, 1)));
	assert_false(can_be_read(machine_shared(&machine, 2 * PAGE, 1)));
	assert_true(can_be_read(machine_shared(&machine, PAGE, 1)));
	/* Not beyond it. */
	assert_int_equal(machine_expose(&machine, memory, 64 << 20, PAGE, true), -EINVAL);
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(five_gib_go_around_the_hole),
		TEST(content_is_loaded_on_both_sides),
		TEST(private_pages_are_shared_one_by_one),
		TEST(what_cannot_be_shared),
		TEST(what_is_private_is_told_by_ranges),
		TEST(wrong_ranges),
		TEST(what_was_exposed_is_private_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
