// SPDX-License-Identifier: MIT
/* A snapshot's files, if somebody else has replaced them. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/image.h"
#include "snapshot/files.h"
#include "snapshot/snapshot.h"

static char folder[32];
static int dir;

static int begin(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/gmem-test-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	return dir < 0 ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	close(dir);
	return rmdir(folder);
}

static void links_are_not_followed(void **state)
{
	int fd = openat(dir, "elsewhere", O_WRONLY | O_CREAT, 0600);
	struct snapshot snapshot;
	struct image image;

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	close(fd);
	assert_int_equal(symlinkat("elsewhere", dir, "state"), 0);
	assert_int_equal(snapshot_open(&snapshot, folder), -ELOOP);
	snapshot_close(&snapshot);
	assert_int_equal(unlinkat(dir, "state", 0), 0);
	assert_int_equal(symlinkat("elsewhere", dir, "memory"), 0);
	assert_int_equal(image_open_in(&image, dir, "memory", false), -ELOOP);
	assert_int_equal(unlinkat(dir, "memory", 0), 0);
	assert_int_equal(renameat(dir, "elsewhere", dir, "memory"), 0);
	assert_int_equal(image_open_in(&image, dir, "memory", true), -ENOENT);
	assert_int_equal(symlinkat("memory", dir, "memory.sums"), 0);
	assert_int_equal(image_open_in(&image, dir, "memory", true), -ELOOP);
	assert_int_equal(image_open_in(&image, dir, "memory", false), 0);
	image_close(&image);
	assert_int_equal(unlinkat(dir, "memory.sums", 0), 0);
	assert_int_equal(unlinkat(dir, "memory", 0), 0);
}

/* Its parent is renamed, and another is where it was: that is left alone. */
static void what_is_dropped_is_ones_own(void **state)
{
	struct snapshot_files files;
	struct snapshot_fds fds;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/a/one/", folder);
	assert_int_equal(mkdirat(dir, "a", 0700), 0);
	assert_int_equal(snapshot_files_make(&files, path, &fds), 0);
	close(fds.memory);
	close(fds.state);
	assert_int_equal(renameat(dir, "a", dir, "b"), 0);
	assert_int_equal(mkdirat(dir, "a", 0700), 0);
	assert_int_equal(mkdirat(dir, "a/one", 0700), 0);
	assert_int_equal(snapshot_files_drop(&files), 0);
	assert_int_equal(unlinkat(dir, "a/one", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(dir, "a", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(dir, "b", AT_REMOVEDIR), 0);
	assert_int_equal(snapshot_files_make(&files, "/", &fds), -EEXIST);
	assert_int_equal(snapshot_files_make(&files, "//..", &fds), -EEXIST);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(links_are_not_followed),
		TEST(what_is_dropped_is_ones_own),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
