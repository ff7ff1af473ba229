// SPDX-License-Identifier: MIT
/* How the library parses fdinfo. This file includes the file under test. */
#include "../../lib/memory/memfd.c"

#include <sys/mman.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#define LINES \
	"pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t99\n" \
	"gmem-ino:\t418\ngmem-size:\t268435456\ngmem-flags:\t0x1f\n" \
	"gmem-resident:\t65536\ngmem-allocated:\t65540\ngmem-freed:\t4\n" \
	"gmem-views:\t2\n"

static void all_lines_are_read(void **state)
{
	struct gmem_facts facts;

	(void)state;
	assert_int_equal(parse_facts(LINES "gmem-bindings:\t3\n", &facts), 0);
	assert_int_equal(facts.ino, 418);
	assert_int_equal(facts.size, 268435456);
	assert_int_equal(facts.flags, 0x1f);
	assert_int_equal(facts.resident, 65536);
	assert_int_equal(facts.allocated, 65540);
	assert_int_equal(facts.freed, 4);
	assert_int_equal(facts.views, 2);
	assert_int_equal(facts.bindings, 3);
}

static void lines_that_are_missing_or_no_numbers(void **state)
{
	struct gmem_facts facts = { .ino = 7 };

	(void)state;
	assert_int_equal(parse_facts("", &facts), -EBADF);
	assert_int_equal(parse_facts(LINES, &facts), -EBADF);
	assert_int_equal(parse_facts(LINES "gmem-bindings:\tx\n", &facts),
			 -EBADF);
	assert_int_equal(parse_facts(LINES "gmem-bindings:", &facts), -EBADF);
	assert_int_equal(parse_facts(LINES
		"gmem-bindings:\t99999999999999999999999\n", &facts), -EBADF);
	assert_int_equal(facts.ino, 7);
}

static void descriptors_that_are_no_guest_memory(void **state)
{
	struct gmem_facts facts;
	int ends[2], info;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(gmem_memfd_facts(0, ends[0], &facts), -EBADF);
	assert_int_equal(gmem_memfd_facts(getpid(), ends[0], &facts), -EBADF);
	info = gmem_memfd_facts_open(ends[0]);
	assert_true(info >= 0);
	assert_int_equal(fcntl(info, F_GETFD), FD_CLOEXEC);
	assert_int_equal(gmem_memfd_facts_read(info, &facts), -EBADF);
	close(info);
	assert_int_equal(gmem_memfd_facts_read(info, &facts), -EBADF);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(gmem_memfd_facts_open(ends[0]), -EBADF);
	assert_int_equal(gmem_memfd_facts_open(-1), -EBADF);
	assert_int_equal(gmem_memfd_facts(0, ends[0], &facts), -EBADF);
	assert_int_equal(gmem_memfd_facts(0, -1, &facts), -EBADF);
	assert_int_equal(gmem_memfd_facts(-1, 0, &facts), -EBADF);
	/* Above the highest process number that Linux can have. */
	assert_int_equal(gmem_memfd_facts(1 << 30, 0, &facts), -ESRCH);
}

static void linking_what_is_no_descriptor(void **state)
{
	(void)state;
	assert_int_equal(gmem_memfd_link(-1, -1), -EINVAL);
	assert_int_equal(gmem_memfd_link(-1, 0), -EBADF);
}

/* A memfd stands in for the inode: the call is the same. */
static void a_hole_is_what_was_asked_for(void **state)
{
	char bytes[3 * 4096];
	int fd = memfd_create("holes", MFD_CLOEXEC);

	(void)state;
	memset(bytes, 7, sizeof(bytes));
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(gmem_punch(fd, 4096, 4096), 0);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(bytes[4095], 7);
	assert_int_equal(bytes[4096], 0);
	assert_int_equal(bytes[8191], 0);
	assert_int_equal(bytes[8192], 7);
	assert_int_equal(lseek(fd, 0, SEEK_END), sizeof(bytes));
	assert_int_equal(gmem_punch(fd, 0, 0), -EINVAL);
	assert_int_equal(gmem_punch(fd, 1ULL << 63, 4096), -EINVAL);
	assert_int_equal(gmem_punch(fd, 4096, ~0ULL), -EINVAL);
	close(fd);
	assert_int_equal(gmem_punch(fd, 0, 4096), -EBADF);
	assert_int_equal(gmem_punch(-1, 0, 4096), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_lines_are_read),
		cmocka_unit_test(a_hole_is_what_was_asked_for),
		cmocka_unit_test(lines_that_are_missing_or_no_numbers),
		cmocka_unit_test(descriptors_that_are_no_guest_memory),
		cmocka_unit_test(linking_what_is_no_descriptor),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
