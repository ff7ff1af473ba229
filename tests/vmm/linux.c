// SPDX-License-Identifier: MIT
/* gmem run --kernel: files that cannot be booted. tests/boot/linux has those that can. */
#include <asm/bootparam.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "built.h"
#include "common/status.h"
#include "program.h"

static const char *initrd(void)
{
	return built_file("build/tests/vmm/linux.initrd");
}

/* The beginning of a kernel that says that it needs 512 MiB to unpack itself. */
static const char *big_kernel(void)
{
	static const char path[] = "/tmp/gmem-big-kernel";
	static char bytes[1 << 16];
	uint32_t need = 512 << 20;
	int from = open(built_kernel(), O_RDONLY);
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(from >= 0 && to >= 0);
	assert_int_equal(read(from, bytes, sizeof(bytes)), sizeof(bytes));
	memcpy(bytes + offsetof(struct boot_params, hdr.init_size), &need, sizeof(need));
	assert_int_equal(write(to, bytes, sizeof(bytes)), sizeof(bytes));
	close(from);
	close(to);
	return path;
}

/* Ends with @status and says @words. */
#define ENDS(status, words, ...) do {					\
	struct program *p = program_start("linux", "run", __VA_ARGS__, NULL); \
									\
	wait_for_exit(p, status);					\
	must_have_said(p, words);					\
	programs_end(NULL);						\
} while (0)

static void what_is_no_kernel(void **state)
{
	(void)state;
	ENDS(EXIT_FAILED, "reading the kernel: /nowhere/vmlinuz: No such file",
	     "--kernel", "/nowhere/vmlinuz");
	ENDS(EXIT_FAILED, "reading the kernel: /dev/null: not a regular file",
	     "--kernel", "/dev/null");
	ENDS(EXIT_FAILED, "linux.initrd: neither a bzImage", "--kernel", initrd());
	/* An ELF file that nobody can enter. */
	ENDS(EXIT_FAILED, "/proc/self/exe: neither a bzImage", "--kernel", "/proc/self/exe");
	ENDS(EXIT_FAILED, "loading the initrd: /nowhere: No such file", "--kernel",
	     built_kernel(), "--initrd", "/nowhere");
	ENDS(EXIT_FAILED, "loading the initrd: /tmp: not a regular file", "--kernel",
	     built_kernel(), "--initrd", "/tmp");
	ENDS(EXIT_USAGE, "a Linux guest has 64 MiB to", "--kernel", built_kernel(),
	     "--memory", "62");
}

/* Before the guest starts, not when it is to be kept. */
static void where_no_snapshot_can_be(void **state)
{
	(void)state;
	ENDS(EXIT_FAILED, "the snapshot's directory /tmp: File exists", "--kernel", built_kernel(),
	     "--snapshot", "/tmp");
	ENDS(EXIT_FAILED, "make the directory above it first", "--kernel", built_kernel(),
	     "--snapshot", "/nowhere/kept");
	ENDS(EXIT_FAILED, "name a directory", "--kernel", built_kernel(), "--snapshot", "");
}

static void too_much_to_load(void **state)
{
	char line[4096];

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	ENDS(EXIT_FAILED, "the command line has 4095 bytes", "--kernel", built_kernel(),
	     "--append", line);
	/* The kernel as its own initrd: there is no room above it. */
	ENDS(EXIT_FAILED, "no room for it beside the kernel", "--kernel", built_kernel(),
	     "--initrd", built_kernel(),
	     "--memory", "80");
	ENDS(EXIT_FAILED, "it is too small for its kernel", "--kernel", big_kernel(),
	     "--memory", "64");
	ENDS(EXIT_FAILED, "it is too small for its kernel", "--kernel", big_kernel(),
	     "--memory", "64", "--private");
	/* More than a guest physical address of any processor can have. */
	ENDS(EXIT_FAILED, "that is too much memory", "--kernel", built_kernel(), "--memory", "4T");
}

static void what_is_no_disk(void **state)
{
	(void)state;
	ENDS(EXIT_FAILED, "disk /nowhere: it cannot be opened", "--kernel", built_kernel(),
	     "--disk", "/nowhere");
	ENDS(EXIT_FAILED, "neither a file nor a block device", "--kernel", built_kernel(),
	     "--disk", "/dev/null");
	ENDS(EXIT_USAGE, "behind the path there may be", "--kernel", built_kernel(),
	     "--disk", "/dev/null,rw");
	ENDS(EXIT_USAGE, "--net and --balloon are for a --kernel", "--disk", "/dev/null");
	ENDS(EXIT_USAGE, "--net and --balloon are for a --kernel", "--net", "user");
}

static void options_that_make_no_sense(void **state)
{
	(void)state;
	ENDS(EXIT_USAGE, "--huge-pages sometimes: never, fits or always", "--kernel",
	     built_kernel(), "--huge-pages", "sometimes");
	ENDS(EXIT_USAGE, "--huge-pages is for a --kernel", "--huge-pages", "fits");
	ENDS(EXIT_USAGE, "for a --kernel", "--private");
	ENDS(EXIT_USAGE, "for a --kernel", "--initrd", "/dev/null");
	ENDS(EXIT_USAGE, "for a --kernel", "--append", "quiet");
	ENDS(EXIT_USAGE, "has no --private", "--kernel", built_kernel(), "--pager", "/tmp/p",
	     "--private");
	ENDS(EXIT_USAGE, "has no --private, --socket", "--pager", "/tmp/p", "--socket", "/tmp/s");
	ENDS(EXIT_USAGE, "say so by --expose-private", "--kernel", built_kernel(), "--private",
	     "--snapshot", "/tmp/kept");
	ENDS(EXIT_USAGE, "is for a --snapshot with --private", "--kernel", built_kernel(),
	     "--expose-private");
	ENDS(EXIT_USAGE, "cannot be handed over", "--kernel", built_kernel(), "--socket", "/tmp/s");
	ENDS(EXIT_USAGE, "not a multiple of 2 MiB", "--kernel", built_kernel(), "--memory", "257");
	ENDS(EXIT_USAGE, "not a size", "--memory", "1X");
	ENDS(EXIT_USAGE, "not a size", "--memory", "");
	ENDS(EXIT_USAGE, "a Linux guest has", "--kernel", built_kernel(),
	     "--memory", "99999999999T");
	ENDS(EXIT_USAGE, "the guest that counts has", "--memory", "2G");
	ENDS(EXIT_USAGE, "--cpus is for a --kernel", "--cpus", "2");
	ENDS(EXIT_USAGE, "--cpus 0", "--kernel", built_kernel(), "--cpus", "0");
	ENDS(EXIT_USAGE, "--cpus 65", "--kernel", built_kernel(), "--cpus", "65");
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_no_kernel),
		TEST(where_no_snapshot_can_be),
		TEST(too_much_to_load),
		TEST(what_is_no_disk),
		TEST(options_that_make_no_sense),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
