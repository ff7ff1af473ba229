// SPDX-License-Identifier: MIT
/*
 * Reads of an image, by io_uring and by pread(2): their order and their checks; and operations that
 * the ring must refuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "image/reader.h"
#include "paging.h"

/* Until a read has ended, however long that takes. */
static struct image_read *next(struct image_reader *reader)
{
	struct image_read *read;

	while (!(read = reader_take(reader, false)))
		assert_int_equal(reader_go(reader, true), 0);
	return read;
}

static void open_both(struct image *image, struct image_reader *reader,
		      bool by_ring)
{
	const char *why;

	assert_int_equal(image_open(image, file_path("image")), 0);
	assert_int_equal(reader_open(reader, image, by_ring, &why), 0);
	assert_null(why);
}

static void close_both(struct image *image, struct image_reader *reader)
{
	reader_drain(reader);
	assert_int_equal(reader->under_way, 0);
	reader_close(reader);
	image_close(image);
}

/* The buffer has the content of the file. */
static void is_right(const struct image_read *read)
{
	char *bytes = malloc(read->count * PAGE);
	int fd = open(file_path("image"), O_RDONLY);

	assert_int_equal(pread(fd, bytes, read->count * PAGE, read->first * PAGE),
			 read->count * PAGE);
	assert_memory_equal(bytes, read->buffer, read->count * PAGE);
	close(fd);
	free(bytes);
}

/*
 * Begin as many reads as there is room for at once; each comes back once, with the right content.
 */
static void many_at_once(void **state)
{
	bool by_ring = *state, seen[READER_READS] = { false };
	struct image_reader reader;
	struct image_read *read;
	struct image image;
	uint32_t i, begun = 0;

	image_make(IMAGE_MIB);
	open_both(&image, &reader, by_ring);
	for (; reader_has_room(&reader, true); begun++)
		reader_begin(&reader, begun * 3, 1, true);
	assert_int_equal(begun, READER_URGENT);
	for (; reader_has_room(&reader, false); begun++)
		reader_begin(&reader, begun * 40, 1 + begun, false);
	assert_int_equal(begun, READER_URGENT + (by_ring ? READER_AHEAD : 1));
	assert_int_equal(reader_go(&reader, false), 0);
	for (i = 0; i < begun; i++) {
		read = next(&reader);
		assert_int_equal(read->good, read->count);
		assert_int_equal(read->error, 0);
		assert_false(seen[read - reader.reads]);
		seen[read - reader.reads] = true;
		is_right(read);
		reader_drop(&reader, read);
	}
	assert_int_equal(reader.under_way, 0);
	assert_false(reader_has_ended(&reader));
	assert_null(reader_take(&reader, false));
	assert_true(reader_has_room(&reader, true));
	close_both(&image, &reader);
}

/*
 * A read that nobody waits for was begun first, and comes last, unless somebody waits for it now.
 */
static void urgent_ones_first(void **state)
{
	struct image_reader reader;
	struct image_read *read;
	struct image image;

	image_make(IMAGE_MIB);
	open_both(&image, &reader, *state);
	reader_begin(&reader, 100, 64, false);
	reader_begin(&reader, 7, 1, true);
	reader_begin(&reader, 6, 1, true);
	/* With a ring: until all have ended. */
	while (reader.by_ring && io_uring_cq_ready(&reader.ring.ring) < 3) {
		assert_int_equal(reader_go(&reader, true), 0);
		usleep(1000);
	}
	read = reader_take(&reader, false);
	assert_int_equal(read->first, 7);
	reader_drop(&reader, read);
	read = reader_take(&reader, true);
	assert_int_equal(read->first, 6);
	reader_drop(&reader, read);
	assert_null(reader_take(&reader, true));
	assert_true(reader_has_ended(&reader));
	reader_hurry(&reader, 99);
	reader_hurry(&reader, 164);
	assert_null(reader_take(&reader, true));
	reader_hurry(&reader, 163);
	read = reader_take(&reader, true);
	assert_int_equal(read->first, 100);
	reader_drop(&reader, read);
	if (reader.by_ring) {
		reader_begin(&reader, 200, 1, false);
		reader_begin(&reader, 300, 1, false);
		reader_hurry(&reader, 300);
		while (io_uring_cq_ready(&reader.ring.ring) < 2)
			assert_int_equal(reader_go(&reader, true), 0);
		read = reader_take(&reader, false);
		assert_int_equal(read->first, 300);
		reader_drop(&reader, read);
	}
	close_both(&image, &reader);
}

static void expect(struct image_reader *reader, uint32_t first, uint32_t count,
		   uint32_t good, int error)
{
	struct image_read *read;

	reader_begin(reader, first, count, count == 1);
	assert_int_equal(reader_go(reader, false), 0);
	read = next(reader);
	assert_int_equal(read->good, good);
	assert_int_equal(read->error, error);
	reader_drop(reader, read);
}

static void what_is_wrong_is_found(void **state)
{
	struct image_reader reader;
	struct image image;

	image_make(1);
	open_both(&image, &reader, *state);
	spoil(file_path("image"), 9 * PAGE + 5);
	expect(&reader, 3, 16, 6, -EBADMSG);
	expect(&reader, 9, 1, 0, -EBADMSG);
	expect(&reader, 10, 1, 1, 0);
	assert_int_equal(truncate(file_path("image"), 30 * PAGE + 100), 0);
	expect(&reader, 28, 4, 2, -ENODATA);
	expect(&reader, 30, 1, 0, -ENODATA);
	expect(&reader, 200, 40, 0, -ENODATA);
	close_both(&image, &reader);
}

/* Reads under way when a guest goes must not reach the next guest. */
static void reads_that_nobody_takes(void **state)
{
	struct image_reader reader;
	struct image image;
	int round;

	image_make(IMAGE_MIB);
	open_both(&image, &reader, *state);
	for (round = 0; round < 100; round++) {
		while (reader_has_room(&reader, false))
			reader_begin(&reader, round * 16, 64, false);
		reader_begin(&reader, round, 1, true);
		if (round % 2)
			assert_int_equal(reader_go(&reader, false), 0);
		reader_drain(&reader);
		assert_int_equal(reader.under_way, 0);
		assert_false(reader_has_ended(&reader));
		expect(&reader, round * 3, 1, 1, 0);
	}
	close_both(&image, &reader);
}

/* ---- Past the page cache ---- */

static bool is_direct(const struct image *image)
{
	return fcntl(image->fd, F_GETFL) & O_DIRECT;
}

/* Set: a direct read is refused, as some file systems do only then. */
static bool refuse_direct;
static unsigned int refused;

ssize_t __wrap_pread(int fd, void *buffer, size_t size, off_t offset)
{
	if (refuse_direct && fcntl(fd, F_GETFL) & O_DIRECT) {
		refused++;
		errno = EINVAL;
		return -1;
	}
	return syscall(SYS_pread64, fd, buffer, size, offset);
}

static void direct_where_that_works(void **state)
{
	struct image_reader reader;
	struct image image;

	(void)state;
	image_make(1);
	open_both(&image, &reader, true);
	assert_true(is_direct(&image));
	expect(&reader, 0, 64, 64, 0);
	close_both(&image, &reader);
	open_both(&image, &reader, false);
	assert_false(is_direct(&image));
	close_both(&image, &reader);
}

static void a_file_system_that_refuses_it_late(void **state)
{
	char page[PAGE] __attribute__((aligned(4096)));
	struct image image;
	int error;

	(void)state;
	image_make(1);
	assert_int_equal(image_open(&image, file_path("image")), 0);
	assert_true(image_read_directly(&image, true));
	refuse_direct = true;
	refused = 0;
	assert_int_equal(image_read(&image, 5, 1, page, &error), 1);
	assert_int_equal(image_read(&image, 6, 1, page, &error), 1);
	refuse_direct = false;
	assert_int_equal(refused, 1);
	assert_false(is_direct(&image));
	image_close(&image);
}

/* ramfs has no direct reads at all. */
static void a_file_system_that_refuses_it(void **state)
{
	char command[256], path[] = "/tmp/gmem-ramfs-XXXXXX";
	struct image_reader reader;
	struct image image;
	const char *why;

	(void)state;
	image_make(1);
	assert_non_null(mkdtemp(path));
	assert_int_equal(mount("none", path, "ramfs", 0, NULL), 0);
	snprintf(command, sizeof(command), "cp %s %s.sums %s",
		 file_path("image"), file_path("image"), path);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "%s/image", path);
	assert_int_equal(image_open(&image, command), 0);
	assert_false(image_read_directly(&image, true));
	assert_int_equal(reader_open(&reader, &image, true, &why), 0);
	assert_false(is_direct(&image));
	expect(&reader, 100, 64, 64, 0);
	close_both(&image, &reader);
	/* The kernel lets go of a ring's file a little later. */
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	rmdir(path);
}

/* ---- The kernel has no memory for a read ---- */

/* So many times; and how often that was said, and how often waited for. */
static unsigned int refusals, refused_reads, pauses;

typeof(io_uring_submit_and_wait) __real_io_uring_submit_and_wait;

int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned int wait)
{
	if (!refusals)
		return __real_io_uring_submit_and_wait(ring, wait);
	refusals--;
	refused_reads++;
	return -EAGAIN;
}

typeof(poll) __real_poll;

/* Of nothing, for a time: that is a pause, which is not waited for here. */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (count)
		return __real_poll(fds, count, timeout);
	assert_true(timeout > 0);
	pauses++;
	return 0;
}

static void refuse_reads(unsigned int times)
{
	refusals = times;
	refused_reads = 0;
	pauses = 0;
}

static void told_later(void **state)
{
	struct image_reader reader;
	struct image_read *read;
	struct image image;

	(void)state;
	image_make(1);
	open_both(&image, &reader, true);
	refuse_reads(7);
	reader_begin(&reader, 5, 1, true);
	reader_begin(&reader, 64, 64, false);
	assert_int_equal(reader_go(&reader, false), 0);
	assert_null(reader_take(&reader, false));
	read = next(&reader);
	is_right(read);
	reader_drop(&reader, read);
	read = next(&reader);
	is_right(read);
	reader_drop(&reader, read);
	/* Each time it waited, and did not ask at once again. */
	assert_int_equal(refused_reads, 7);
	assert_int_equal(pauses, 7);
	close_both(&image, &reader);
}

/* What is under way is waited for, and nothing else. */
static void told_when_another_ends(void **state)
{
	struct image_reader reader;
	struct image_read *read;
	struct image image;

	(void)state;
	image_make(1);
	open_both(&image, &reader, true);
	reader_begin(&reader, 5, 1, true);
	assert_int_equal(reader_go(&reader, false), 0);
	refuse_reads(2);
	reader_begin(&reader, 64, 64, false);
	assert_int_equal(reader_go(&reader, false), 0);
	assert_int_equal(reader_go(&reader, true), 0);
	assert_int_equal(refused_reads, 2);
	assert_int_equal(pauses, 0);
	read = reader_take(&reader, false);
	assert_non_null(read);
	assert_int_equal(read->first, 5);
	reader_drop(&reader, read);
	read = next(&reader);
	assert_int_equal(read->first, 64);
	is_right(read);
	reader_drop(&reader, read);
	close_both(&image, &reader);
}

/*
 * The wait must end; and reads that were put must not go into memory that has another use by then.
 */
static void never_told(void **state)
{
	struct image_reader reader;
	struct image image;
	int ret, calls = 0;

	(void)state;
	image_make(1);
	open_both(&image, &reader, true);
	refuse_reads(UINT32_MAX);
	reader_begin(&reader, 5, 1, true);
	do {
		ret = reader_go(&reader, true);
	} while (!ret && ++calls < 100000);
	assert_int_equal(ret, -EAGAIN);
	assert_int_equal(pauses, calls);
	reader_drain(&reader);
	assert_int_equal(reader.under_way, 0);
	refuse_reads(0);
	reader_begin(&reader, 6, 1, true);
	assert_int_equal(reader_go(&reader, true), -EAGAIN);
	assert_false(reader_has_ended(&reader));
	reader_close(&reader);
	image_close(&image);
}

/* ---- What the ring can't do ---- */

/* The result of an operation in the reader's ring. */
static int result_of(struct image_reader *reader, const struct io_uring_sqe *wanted)
{
	struct io_uring *ring = &reader->ring.ring;
	struct io_uring_cqe *cqe;
	int result;

	*io_uring_get_sqe(ring) = *wanted;
	assert_int_equal(io_uring_submit_and_wait(ring, 1), 1);
	assert_int_equal(io_uring_peek_cqe(ring, &cqe), 0);
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result;
}

static void another_operation_is_refused(void **state)
{
	struct io_uring_sqe sqe;
	struct image_reader reader;
	struct image image;
	char *inside, outside[PAGE];
	int op;

	(void)state;
	image_make(1);
	open_both(&image, &reader, true);
	inside = reader.memory;
	for (op = 0; op < IORING_OP_LAST + 10; op++) {
		if (op == IORING_OP_READ_FIXED)
			continue;
		memset(&sqe, 0, sizeof(sqe));
		sqe.opcode = op;
		sqe.flags = IOSQE_FIXED_FILE;
		assert_true(result_of(&reader, &sqe) == -EACCES ||
			    op >= IORING_OP_LAST);
	}
	/* Any other file: by its descriptor, or by a number that is not registered. */
	memset(&sqe, 0, sizeof(sqe));
	io_uring_prep_read_fixed(&sqe, image.fd, inside, PAGE, 0, 0);
	assert_int_equal(result_of(&reader, &sqe), -EACCES);
	io_uring_prep_read_fixed(&sqe, 1, inside, PAGE, 0, 0);
	sqe.flags = IOSQE_FIXED_FILE;
	assert_int_equal(result_of(&reader, &sqe), -EBADF);
	/* Any other memory. */
	io_uring_prep_read_fixed(&sqe, 0, outside, PAGE, 0, 0);
	sqe.flags = IOSQE_FIXED_FILE;
	assert_int_equal(result_of(&reader, &sqe), -EFAULT);
	/* And what is right is done: else this would show nothing. */
	io_uring_prep_read_fixed(&sqe, 0, inside, PAGE, 0, 0);
	sqe.flags = IOSQE_FIXED_FILE;
	assert_int_equal(result_of(&reader, &sqe), PAGE);
	close_both(&image, &reader);
}

static void nothing_more_is_registered(void **state)
{
	struct image_reader reader;
	struct image image;
	int fds[1] = { 0 };

	(void)state;
	image_make(1);
	open_both(&image, &reader, true);
	assert_int_equal(io_uring_unregister_files(&reader.ring.ring), -EACCES);
	assert_int_equal(io_uring_register_files_update(&reader.ring.ring, 0, fds, 1),
			 -EACCES);
	assert_int_equal(io_uring_unregister_buffers(&reader.ring.ring), -EACCES);
	assert_int_equal(io_uring_register_personality(&reader.ring.ring), -EACCES);
	close_both(&image, &reader);
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

/* By the ring, or without one. */
#define BY(function, how) \
	cmocka_unit_test_prestate_setup_teardown(function, begin, programs_end, how)

#define RING	"the ring"
#define READ	NULL

static int begin(void **state)
{
	print_message("# by %s\n", *state ? (const char *)*state : "pread(2)");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY(many_at_once, RING),
		BY(many_at_once, READ),
		BY(urgent_ones_first, RING),
		BY(urgent_ones_first, READ),
		BY(what_is_wrong_is_found, RING),
		BY(what_is_wrong_is_found, READ),
		BY(reads_that_nobody_takes, RING),
		BY(reads_that_nobody_takes, READ),
		TEST(direct_where_that_works),
		TEST(a_file_system_that_refuses_it_late),
		TEST(a_file_system_that_refuses_it),
		TEST(told_later),
		TEST(told_when_another_ends),
		TEST(never_told),
		TEST(another_operation_is_refused),
		TEST(nothing_more_is_registered),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, images_remove);
}
