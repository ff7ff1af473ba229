// SPDX-License-Identifier: MIT
/* The files of gmem pager: images, their sums, working sets, and wrong ones. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/status.h"
#include "image/crc32c.h"
#include "image/working-set.h"
#include "paging.h"

/* ---- CRC32C ---- */

/* Test vectors of RFC 3720, and the check value that catalogues give. */
static void sums_are_crc32c(void **state)
{
	static unsigned char bytes[32];
	size_t i;

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c_by_table(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	assert_int_equal(crc32c_by_table(0, bytes, 32), 0x8a9136aa);
	for (i = 0; i < 32; i++)
		bytes[i] = i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
	assert_int_equal(crc32c_by_table(0, bytes, 32), 0x46dd794e);
	assert_int_equal(crc32c(crc32c(0, bytes, 5), bytes + 5, 27), 0x46dd794e);
	assert_int_equal(crc32c(0, bytes, 0), 0);
}

/* ---- Images ---- */

/* gmem pager ends with a failure, and says this. */
static void is_refused(const char *words)
{
	struct program *pager = pager_start("pager", NULL);

	wait_for_exit(pager, EXIT_FAILED);
	must_have_said(pager, "gmem: ");
	must_have_said(pager, words);
	assert_false(has_said(pager, "to who connects"));
	programs_end(NULL);
}

static void what_is_no_image(void **state)
{
	const char *path = file_path("image");

	(void)state;
	unlink(path);
	is_refused("No such file");
	write_file(path, "", 0);
	is_refused("not a file with a whole number of pages");
	write_file(path, "half a page", 11);
	is_refused("not a file with a whole number of pages");
	unlink(path);
	mkdir(path, 0700);
	is_refused("not a file with a whole number of pages");
	rmdir(path);
}

static void sums_that_are_wrong(void **state)
{
	const char *image = file_path("image"), *sums = file_path("image.sums");
	struct stat whole;
	char byte = 0;
	int fd;

	(void)state;
	image_make(1);
	stat(sums, &whole);
	unlink(sums);
	is_refused("--make-sums");
	write_file(sums, "", 0);
	is_refused("cut short");
	write_file(sums, "this is no file with sums, but it is long enough", 48);
	is_refused("damaged, or no sums");
	image_make(1);
	spoil(sums, 8);
	is_refused("Protocol not supported");
	image_make(1);
	spoil(sums, 24);	/* the sum of the sums */
	is_refused("damaged, or no sums");
	image_make(1);
	spoil(sums, 32 + 77 * 4);	/* of one page */
	is_refused("cut short, too long or damaged");
	image_make(1);
	assert_int_equal(truncate(sums, whole.st_size - 1), 0);
	is_refused("cut short, too long or damaged");
	image_make(1);
	fd = open(sums, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, &byte, 1), 1);
	close(fd);
	is_refused("cut short, too long or damaged");
	image_make(1);
	assert_int_equal(truncate(image, 2 << 20), 0);
	is_refused("of another image");
}

static void sums_are_made(void **state)
{
	struct program *maker;
	struct stat stat_before, stat_after;

	(void)state;
	image_make(1);
	stat(file_path("image.sums"), &stat_before);
	unlink(file_path("image.sums"));
	maker = program_start("maker", "pager", "--image", file_path("image"),
			      "--make-sums", NULL);
	wait_for_exit(maker, EXIT_DONE);
	assert_int_equal(stat(file_path("image.sums"), &stat_after), 0);
	assert_int_equal(stat_after.st_size, 32 + 4 * 256);
	assert_int_equal(stat_after.st_size, stat_before.st_size);
	maker = program_start("maker", "pager", "--image", "/nowhere/image",
			      "--make-sums", NULL);
	wait_for_exit(maker, EXIT_FAILED);
	must_have_said(maker, "No such file");
}

/* Beyond the limit the kernel sends a signal, which is not to end the program. */
static void sums_that_may_not_grow(void **state)
{
	const char *sums = file_path("image.sums");
	struct program *maker;
	struct rlimit before, small;

	(void)state;
	image_make(1);
	unlink(sums);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){ .rlim_cur = 512, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	maker = program_start("maker", "pager", "--image", file_path("image"), "--make-sums",
			      NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	wait_for_exit(maker, EXIT_FAILED);
	must_have_said(maker, "File too large");
	assert_int_equal(access(sums, F_OK), -1);
}

/* Each byte of it matters: one that changes makes it another file or none. */
static void any_byte_of_the_sums(void **state)
{
	struct image image;
	off_t at;

	(void)state;
	image_make(1);
	for (at = 0; at < 32 + 4 * 256; at++) {
		spoil(file_path("image.sums"), at);
		assert_int_not_equal(image_open(&image, file_path("image")), 0);
		assert_int_equal(image.fd, -1);
		spoil(file_path("image.sums"), at);
	}
	assert_int_equal(image_open(&image, file_path("image")), 0);
	image_close(&image);
}

static void pages_are_checked(void **state)
{
	static char buffer[16 * PAGE];
	struct image image;
	int error;

	(void)state;
	image_make(1);
	assert_int_equal(image_open(&image, file_path("image")), 0);
	assert_int_equal(image_read(&image, 3, 16, buffer, &error), 16);
	assert_int_equal(error, 0);
	spoil(file_path("image"), 9 * PAGE + 5);
	assert_int_equal(image_read(&image, 3, 16, buffer, &error), 6);
	assert_int_equal(error, -EBADMSG);
	assert_int_equal(image_read(&image, 9, 1, buffer, &error), 0);
	assert_int_equal(error, -EBADMSG);
	assert_int_equal(truncate(file_path("image"), 5 * PAGE - 1), 0);
	assert_int_equal(image_read(&image, 3, 4, buffer, &error), 1);
	assert_int_equal(error, -ENODATA);
	image_close(&image);
}

/* ---- Working sets ---- */

#define HEADER	32
#define RECORD	8

/* A set of the pages @first, 3 and 255, recorded in two goes, and ended or not. */
static void set_record(struct image *image, uint32_t first, bool ended)
{
	struct working_set set;

	unlink(file_path("set"));
	assert_int_equal(working_set_open(&set, file_path("set"), image), 0);
	assert_int_equal(working_set_begin(&set, image, false), 0);
	assert_true(set.recording);
	working_set_add(&set, first);
	assert_int_equal(working_set_write(&set), 0);
	working_set_add(&set, 3);
	working_set_add(&set, 3);
	working_set_add(&set, 255);
	assert_int_equal(working_set_write(&set), 0);
	if (ended)
		assert_int_equal(working_set_end(&set), 0);
	working_set_close(&set);
}

static int set_opens(const struct image *image)
{
	struct working_set set;
	int ret = working_set_open(&set, file_path("set"), image);

	if (!ret)
		working_set_close(&set);
	else
		assert_int_equal(set.fd, -1);
	return ret;
}

/* So many of its pages are read, in their order. */
static void set_has(const struct image *image, uint32_t count, bool ended)
{
	static const uint32_t pages[] = { 9, 3, 255 };
	struct working_set set;

	assert_int_equal(working_set_open(&set, file_path("set"), image), 0);
	assert_int_equal(set.count, count);
	if (count)
		assert_memory_equal(set.pages, pages, count * sizeof(*pages));
	assert_int_equal(set.ended, ended);
	working_set_close(&set);
}

static void a_set_is_kept(void **state)
{
	struct working_set set;
	struct image image;

	(void)state;
	image_make(1);
	assert_int_equal(image_open(&image, file_path("image")), 0);
	set_record(&image, 9, true);
	set_has(&image, 3, true);
	/* An existing working set is not overwritten, whatever guest is served. */
	assert_int_equal(working_set_open(&set, file_path("set"), &image), 0);
	assert_int_equal(working_set_begin(&set, &image, true), 0);
	assert_false(set.recording);
	assert_int_equal(working_set_begin(&set, &image, false), 0);
	assert_false(set.recording);
	assert_int_equal(set.known, 3);
	working_set_add(&set, 7);
	assert_int_equal(set.count, 3);
	working_set_close(&set);
	image_close(&image);
}

/* The working set that a killed page server has left: its successor appends to it. */
static void a_set_is_continued(void **state)
{
	struct working_set set;
	struct image image;

	(void)state;
	image_make(1);
	assert_int_equal(image_open(&image, file_path("image")), 0);
	set_record(&image, 9, false);
	set_has(&image, 3, false);
	/* Another guest takes it as it is. */
	assert_int_equal(working_set_open(&set, file_path("set"), &image), 0);
	assert_int_equal(working_set_begin(&set, &image, false), 0);
	assert_false(set.recording);
	working_set_close(&set);

	assert_int_equal(truncate(file_path("set"), HEADER + 2 * RECORD + 5), 0);
	assert_int_equal(working_set_open(&set, file_path("set"), &image), 0);
	assert_int_equal(working_set_begin(&set, &image, true), 0);
	assert_true(set.recording);
	assert_int_equal(set.known, 2);
	working_set_add(&set, 9);
	working_set_add(&set, 255);
	assert_int_equal(working_set_end(&set), 0);
	working_set_close(&set);
	set_has(&image, 3, true);

	/* A server that has not seen the first faults begins no set. */
	unlink(file_path("set"));
	assert_int_equal(working_set_open(&set, file_path("set"), &image), 0);
	assert_int_equal(working_set_begin(&set, &image, true), 0);
	assert_false(set.recording);
	/* But of one that nobody has asked yet it has: from its first on. */
	assert_int_equal(working_set_begin(&set, &image, false), 0);
	working_set_close(&set);
	set_has(&image, 0, false);
	assert_int_equal(working_set_open(&set, file_path("set"), &image), 0);
	assert_int_equal(working_set_begin(&set, &image, true), 0);
	assert_true(set.recording);
	working_set_close(&set);
	image_close(&image);
}

/* Wherever it was cut off, what is whole before that is used. */
static void a_set_that_is_torn(void **state)
{
	struct image image;
	off_t length;

	(void)state;
	image_make(1);
	assert_int_equal(image_open(&image, file_path("image")), 0);
	for (length = HEADER; length < HEADER + 4 * RECORD; length++) {
		set_record(&image, 9, true);
		assert_int_equal(truncate(file_path("set"), length), 0);
		set_has(&image, (length - HEADER) / RECORD, false);
		/* Or, after a power failure, its end was never written. */
		assert_int_equal(truncate(file_path("set"), length + 100), 0);
		set_has(&image, (length - HEADER) / RECORD, false);
	}
	set_record(&image, 9, true);
	assert_int_equal(truncate(file_path("set"), length + 100), 0);
	set_has(&image, 3, true);
	image_close(&image);
}

static void sets_that_are_wrong(void **state)
{
	struct image image;
	struct stat stat_set;
	off_t at;

	(void)state;
	image_make(1);
	assert_int_equal(image_open(&image, file_path("image")), 0);
	set_record(&image, 9, true);
	stat(file_path("set"), &stat_set);
	assert_int_equal(stat_set.st_size, HEADER + 4 * RECORD);
	/* But for the last record: that is none then, and nothing is behind it. */
	for (at = 0; at < HEADER + 3 * RECORD; at++) {
		spoil(file_path("set"), at);
		assert_true(set_opens(&image) < 0);
		spoil(file_path("set"), at);
	}
	assert_int_equal(set_opens(&image), 0);
	spoil(file_path("set"), 8);
	assert_int_equal(set_opens(&image), -EPROTONOSUPPORT);
	set_record(&image, 9, true);
	assert_int_equal(truncate(file_path("set"), HEADER - 1), 0);
	assert_int_equal(set_opens(&image), -EBADMSG);
	/* With sums that are right: a page that is none. */
	image.pages++;
	set_record(&image, 256, false);
	image.pages--;
	assert_int_equal(set_opens(&image), -EBADMSG);
	/* Of another image, of the same size. */
	set_record(&image, 9, true);
	image.sum++;
	assert_int_equal(set_opens(&image), -EINVAL);
	image.sum--;
	image_close(&image);
}

static void a_wrong_set_is_said(void **state)
{
	struct program *pager;

	(void)state;
	image_make(1);
	write_file(file_path("set"), "no set", 6);
	pager = pager_start("pager", "--working-set", file_path("set"), NULL);
	wait_for_exit(pager, EXIT_FAILED);
	must_have_said(pager, "to have it recorded anew");
}

/* ---- Command lines ---- */

#define ENDS(words, ...) do {						\
	struct program *p = program_start("gmem", "pager", __VA_ARGS__, NULL); \
									\
	wait_for_exit(p, EXIT_USAGE);					\
	must_have_said(p, words);					\
	programs_end(NULL);						\
} while (0)

static void wrong_command_lines(void **state)
{
	(void)state;
	ENDS("needs --image", "--socket", "/tmp/x");
	ENDS("needs --socket", "--image", "x");
	ENDS("needs --socket", "--image", "x", "--socket", "y", "--socket-fd", "3");
	ENDS("--io is 'uring' or 'read'", "--image", "x", "--socket", "y", "--io", "");
	ENDS("--io is 'uring' or 'read'", "--image", "x", "--socket", "y", "--io", "mmap");
	ENDS("not a number", "--image", "x", "--socket", "y", "--prefetch", "0");
	ENDS("not a number", "--image", "x", "--socket", "y", "--prefetch", "4097");
}

static void root_needs_a_user(void **state)
{
	struct program *pager;

	(void)state;
	image_make(1);
	pager = program_start("gmem", "pager", "--image", file_path("image"),
			      "--socket", socket_path("a"), NULL);
	wait_for_exit(pager, EXIT_FAILED);
	must_have_said(pager, "--user names who to be");
}

static void a_descriptor_that_is_no_socket(void **state)
{
	struct program *pager;

	(void)state;
	image_make(1);
	pager = program_start("gmem", "pager", "--image", file_path("image"),
			      "--socket-fd", "1", "--user", "nobody", NULL);
	wait_for_exit(pager, EXIT_FAILED);
	must_have_said(pager, "not a socket that listens");
}

static void a_file_in_the_place_of_the_socket(void **state)
{
	struct program *pager;

	(void)state;
	image_make(1);
	pager = program_start("gmem", "pager", "--image", file_path("image"), "--socket",
			      file_path("image"), "--user", "nobody", NULL);
	wait_for_exit(pager, EXIT_FAILED);
	must_have_said(pager, "it is no socket");
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sums_are_crc32c),
		TEST(what_is_no_image),
		TEST(sums_that_are_wrong),
		TEST(sums_are_made),
		TEST(sums_that_may_not_grow),
		TEST(any_byte_of_the_sums),
		TEST(pages_are_checked),
		TEST(a_set_is_kept),
		TEST(a_set_is_continued),
		TEST(a_set_that_is_torn),
		TEST(sets_that_are_wrong),
		TEST(a_wrong_set_is_said),
		TEST(wrong_command_lines),
		TEST(root_needs_a_user),
		TEST(a_descriptor_that_is_no_socket),
		TEST(a_file_in_the_place_of_the_socket),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, images_remove);
}
