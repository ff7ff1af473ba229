// SPDX-License-Identifier: MIT
/* gmem run --kernel: what cannot be booted. What can: tests/boot/linux. */
#include <asm/bootparam.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/status.h"
#include "program.h"

/* A file of the repository, by its path below .cache. */
static const char *cache(const char *name)
{
	static char paths[4][512];
	static unsigned int next;
	char *path = paths[next++ % 4];
	ssize_t length = readlink("/proc/self/exe", path, 400);

	assert_true(length > 0);
	path[length] = '\0';
	strcpy(strstr(path, "/build/tests/vmm/") + 1, name);
	return path;
}

static const char *kernel(void)
{
	char name[128] = "kernel/root/boot/vmlinuz-";
	size_t length = strlen(name);
	FILE *release = fopen(cache("kernel/release"), "r");

	assert_non_null(release);
	assert_non_null(fgets(name + length, sizeof(name) - length, release));
	fclose(release);
	name[strcspn(name, "\n")] = '\0';
	return cache(name);
}

static const char *initrd(void)
{
	return cache("build/tests/vmm/linux.initrd");
}

/* The beginning of a kernel that says that it needs 512 MiB to unpack itself. */
static const char *big_kernel(void)
{
	static const char path[] = "/tmp/gmem-big-kernel";
	static char bytes[1 << 16];
	uint32_t need = 512 << 20;
	int from = open(kernel(), O_RDONLY);
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
	ENDS(EXIT_FAILED, "loading the initrd: /nowhere: No such file", "--kernel", kernel(),
	     "--initrd", "/nowhere");
	ENDS(EXIT_FAILED, "loading the initrd: /tmp: not a regular file", "--kernel", kernel(),
	     "--initrd", "/tmp");
	ENDS(EXIT_USAGE, "a Linux guest has 64 MiB to", "--kernel", kernel(), "--memory", "62");
}

/* Before the guest starts, not when it is to be kept. */
static void where_no_snapshot_can_be(void **state)
{
	(void)state;
	ENDS(EXIT_FAILED, "--snapshot /tmp: File exists", "--kernel", kernel(),
	     "--snapshot", "/tmp");
	ENDS(EXIT_FAILED, "make the directory above it first", "--kernel", kernel(),
	     "--snapshot", "/nowhere/kept");
	ENDS(EXIT_FAILED, "name a directory", "--kernel", kernel(), "--snapshot", "");
}

static void too_much_to_load(void **state)
{
	char line[4096];

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	ENDS(EXIT_FAILED, "the command line has 4095 bytes", "--kernel", kernel(),
	     "--append", line);
	/* The kernel as its own initrd: there is no room above it. */
	ENDS(EXIT_FAILED, "no room for it beside the kernel", "--kernel", kernel(),
	     "--initrd", kernel(),
	     "--memory", "80");
	ENDS(EXIT_FAILED, "it is too small for its kernel", "--kernel", big_kernel(),
	     "--memory", "64");
	ENDS(EXIT_FAILED, "it is too small for its kernel", "--kernel", big_kernel(),
	     "--memory", "64", "--private");
	/* More than a guest physical address of any processor can have. */
	ENDS(EXIT_FAILED, "that is too much memory", "--kernel", kernel(), "--memory", "4T");
}

static void what_is_no_disk(void **state)
{
	(void)state;
	ENDS(EXIT_FAILED, "disk /nowhere: it cannot be opened", "--kernel", kernel(),
	     "--disk", "/nowhere");
	ENDS(EXIT_FAILED, "neither a file nor a block device", "--kernel", kernel(),
	     "--disk", "/dev/null");
	ENDS(EXIT_USAGE, "behind the path there may be", "--kernel", kernel(),
	     "--disk", "/dev/null,rw");
	ENDS(EXIT_USAGE, "--net and --balloon are for a --kernel", "--disk", "/dev/null");
	ENDS(EXIT_USAGE, "--net and --balloon are for a --kernel", "--net", "user");
}

static void options_that_make_no_sense(void **state)
{
	(void)state;
	ENDS(EXIT_USAGE, "for a --kernel", "--private");
	ENDS(EXIT_USAGE, "for a --kernel", "--initrd", "/dev/null");
	ENDS(EXIT_USAGE, "for a --kernel", "--append", "quiet");
	ENDS(EXIT_USAGE, "cannot be handed over", "--kernel", kernel(), "--socket", "/tmp/s");
	ENDS(EXIT_USAGE, "not a multiple of 2 MiB", "--kernel", kernel(), "--memory", "257");
	ENDS(EXIT_USAGE, "not a size", "--memory", "1X");
	ENDS(EXIT_USAGE, "not a size", "--memory", "");
	ENDS(EXIT_USAGE, "a Linux guest has", "--kernel", kernel(),
	     "--memory", "99999999999T");
	ENDS(EXIT_USAGE, "the guest that counts has", "--memory", "2G");
	ENDS(EXIT_USAGE, "--cpus is for a --kernel", "--cpus", "2");
	ENDS(EXIT_USAGE, "--cpus 0", "--kernel", kernel(), "--cpus", "0");
	ENDS(EXIT_USAGE, "--cpus 65", "--kernel", kernel(), "--cpus", "65");
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
