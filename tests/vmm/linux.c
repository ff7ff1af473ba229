// SPDX-License-Identifier: MIT
/* gmem run --kernel: what cannot be booted. What can: tests/boot/linux. */
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
	ENDS(EXIT_FAILED, "reading the kernel", "--kernel", "/nowhere/vmlinuz");
	ENDS(EXIT_FAILED, "reading the kernel", "--kernel", "/dev/null");
	ENDS(EXIT_FAILED, "reading the kernel", "--kernel", initrd());
	ENDS(EXIT_FAILED, "loading the initrd", "--kernel", kernel(), "--initrd", "/nowhere");
	ENDS(EXIT_FAILED, "loading the kernel", "--kernel", kernel(), "--memory", "16");
	ENDS(EXIT_FAILED, "loading the kernel", "--kernel", kernel(), "--memory", "16",
	     "--private");
}

static void too_much_to_load(void **state)
{
	char line[4096];

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	ENDS(EXIT_FAILED, "parameters", "--kernel", kernel(), "--append", line);
	/* The kernel as its own initrd: there is no room above it. */
	ENDS(EXIT_FAILED, "loading the initrd", "--kernel", kernel(), "--initrd", kernel(),
	     "--memory", "80");
}

static void options_that_make_no_sense(void **state)
{
	(void)state;
	ENDS(EXIT_USAGE, "for a --kernel", "--private");
	ENDS(EXIT_USAGE, "for a --kernel", "--initrd", "/dev/null");
	ENDS(EXIT_USAGE, "for a --kernel", "--append", "quiet");
	ENDS(EXIT_USAGE, "cannot be handed over", "--kernel", kernel(), "--socket", "/tmp/s");
	ENDS(EXIT_USAGE, "not an even number", "--kernel", kernel(), "--memory", "257");
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_no_kernel),
		TEST(too_much_to_load),
		TEST(options_that_make_no_sense),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
