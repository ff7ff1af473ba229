// SPDX-License-Identifier: MIT
/* Opening disks, and both engines with the host's kernel. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/disks.h"
#include "common/say.h"
#include "common/status.h"
#include "disk/disk.h"
#include "held-disk.h"
#include "unit.h"

#define REQUESTS	256U
#define SIZE	(4UL << 20)
#define MOST	65536UL		/* of a request */
#define SECOND	1000000000ULL

static bool no_rings;
static unsigned int no_memory;
static uint64_t copied;
static char dir[64], path[128], why[DISK_WHY];
static struct events events;
static struct disk disk;
static unsigned int ends, settles;

int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring,
			       unsigned int flags)
{
	return no_rings ? -EPERM : __real_io_uring_queue_init(entries, ring, flags);
}

/* Bytes that the thread which submits copies itself, if they are in the page cache. */
static uint64_t copied_by(const struct io_uring *ring)
{
	uint64_t bytes = 0;
	unsigned int i, k;

	for (i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
		const struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];
		const struct iovec *iov = (const struct iovec *)sqe->addr;

		if (sqe->flags & IOSQE_ASYNC ||
		    (sqe->opcode != IORING_OP_READV && sqe->opcode != IORING_OP_WRITEV))
			continue;
		for (k = 0; k < sqe->len; k++)
			bytes += iov[k].iov_len;
	}
	return bytes;
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
	copied = copied_by(ring);
	if (!no_memory)
		return __real_io_uring_submit(ring);
	no_memory--;
	return -EAGAIN;
}

static const char *file(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make(const char *name, uint64_t size)
{
	int fd = open(file(name), O_CREAT | O_RDWR | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "gmem-disk-XXXXXX");
	return !mkdtemp(dir);
}

static int remove_dir(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* ---- Opening ---- */

static int try_open(struct disk *to, const char *name, bool readonly, bool direct)
{
	const struct disk_options options = {
		.path = *name == '/' ? name : file(name), .readonly = readonly,
		.direct = direct,
	};

	*why = '\0';
	return disk_open(to, &options, why);
}

static void refused(const char *name, int error, const char *words)
{
	assert_int_equal(try_open(&disk, name, false, false), error);
	if (!strstr(why, words))
		fail_msg("%s: said: %s", name, why);
	disk_close(&disk);
	assert_int_equal(disk.fd, -1);
}

static void what_is_no_disk(void **state)
{
	(void)state;
	make("empty", 0);
	make("odd", 1000);
	assert_int_equal(mkfifo(file("fifo"), 0600), 0);
	refused("missing", -ENOENT, "cannot be opened");
	refused("/", -EISDIR, "cannot be opened");
	refused("/dev/null", -EINVAL, "neither a file nor a block device");
	refused("fifo", -EINVAL, "neither a file nor a block device");
	refused("empty", -EINVAL, "it is empty");
	refused("odd", -EINVAL, "truncate -s %512");
}

static void its_sizes(void **state)
{
	(void)state;
	make("image", SIZE);
	assert_int_equal(try_open(&disk, "image", false, false), 0);
	assert_int_equal(disk.geometry.size, SIZE);
	assert_int_equal(disk.geometry.block, 512);
	assert_int_equal(disk.geometry.physical % 512, 0);
	assert_true(disk_holds(&disk, 0, SIZE));
	assert_true(disk_holds(&disk, SIZE, 0));
	assert_false(disk_holds(&disk, SIZE, 1));
	assert_false(disk_holds(&disk, 1, SIZE));
	assert_false(disk_holds(&disk, UINT64_MAX, 2));
	assert_false(disk_holds(&disk, 2, UINT64_MAX));
	disk_close(&disk);
}

static void one_writer_or_readers(void **state)
{
	struct disk other, third;
	char pid[64];

	(void)state;
	make("image", SIZE);
	snprintf(pid, sizeof(pid), "process %d (disk) has it locked", getpid());
	assert_int_equal(try_open(&disk, "image", false, false), 0);
	assert_int_equal(try_open(&other, "image", false, false), -EBUSY);
	assert_string_equal(why, pid);
	disk_close(&other);
	assert_int_equal(try_open(&other, "image", true, false), -EBUSY);
	assert_string_equal(why, pid);
	disk_close(&other);
	disk_close(&disk);
	assert_int_equal(try_open(&other, "image", true, false), 0);
	assert_int_equal(try_open(&third, "image", true, false), 0);
	assert_int_equal(try_open(&disk, "image", false, false), -EBUSY);
	disk_close(&disk);
	disk_close(&other);
	disk_close(&third);
	assert_int_equal(try_open(&disk, "image", false, false), 0);
	disk_close(&disk);
}

/* ---- Requests ---- */

static void done(struct disk *of, struct disk_request *request)
{
	(void)of;
	(void)request;
	ends++;
}

static void settled(struct disk *of)
{
	(void)of;
	settles++;
}

/* How a disk is served: STATE of the tests. */
struct how {
	bool by_threads;
	bool direct;
};

static void start(const struct how *how)
{
	held_use(false);
	no_rings = how->by_threads;
	make("image", SIZE);
	assert_int_equal(events_open(&events), 0);
	assert_int_equal(try_open(&disk, "image", false, how->direct), 0);
	disk.done = done;
	disk.settled = settled;
	assert_int_equal(disk_start(&disk, REQUESTS, &events), 0);
	assert_string_equal(disk.engine->name, how->by_threads ? "threads" : "io_uring");
	ends = 0;
	settles = 0;
}

/* No lock is left behind, not even for a moment. */
static void stop(void)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(file("image"), O_RDWR);

	assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), -1);
	assert_int_equal(disk_drain(&disk, now_ns() + 60 * SECOND), 0);
	disk_close(&disk);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
	close(fd);
	events_close(&events);
}

static void wait_for(unsigned int nr)
{
	uint64_t until = now_ns() + 60 * SECOND;

	while (ends < nr) {
		assert_true(now_ns() < until);
		assert_int_equal(events_wait(&events, 1000), 0);
	}
	assert_int_equal(ends, nr);
	assert_int_equal(disk.in_flight, 0);
}

/* Requests to parts of their own, all at once, in pieces of any alignment. */
#define AT_ONCE	(SIZE / MOST)
static struct disk_request requests[AT_ONCE];
static struct iovec iovs[AT_ONCE][4];

static void begin(unsigned int i, enum disk_kind kind, char *memory, unsigned int shift)
{
	uint64_t size = MOST - 512 * (i % 3), first = 512 * (1 + i % 7) + shift;

	iovs[i][0] = (struct iovec){ memory, first };
	iovs[i][1] = (struct iovec){ memory + first, 1 };
	iovs[i][2] = (struct iovec){ memory + first + 1, 4095 };
	iovs[i][3] = (struct iovec){ memory + first + 4096, size - first - 4096 };
	requests[i] = (struct disk_request){
		.kind = kind, .offset = i * MOST, .size = size, .iov = iovs[i],
		.nr_iov = 4,
	};
	if (!shift) {
		iovs[i][0] = (struct iovec){ memory, size };
		requests[i].nr_iov = 1;
	}
	assert_int_equal(disk_begin(&disk, &requests[i]), 0);
}

static void many_at_once(void **state)
{
	char *from = aligned_alloc(4096, SIZE + 4096), *to = aligned_alloc(4096, SIZE + 4096);
	unsigned int i, shift;
	uint64_t at;

	start(*state);
	for (shift = 0; shift < 100; shift += 33) {
		for (at = 0; at < SIZE; at++)
			from[shift + at] = at * 7 + (at >> 9) + shift;
		memset(to, 0, SIZE + 4096);
		ends = 0;
		for (i = 0; i < AT_ONCE; i++)
			begin(i, DISK_WRITE, from + shift + i * MOST, shift);
		disk_go(&disk);
		wait_for(AT_ONCE);
		for (i = 0; i < AT_ONCE; i++)
			assert_int_equal(requests[i].result, 0);
		ends = 0;
		for (i = 0; i < AT_ONCE; i++)
			begin(i, DISK_READ, to + shift + i * MOST, shift);
		disk_go(&disk);
		wait_for(AT_ONCE);
		for (i = 0; i < AT_ONCE; i++) {
			assert_int_equal(requests[i].result, 0);
			assert_memory_equal(from + shift + i * MOST, to + shift + i * MOST,
					    requests[i].size);
		}
	}
	assert_true(settles > 0);
	stop();
	free(from);
	free(to);
}

static void other_requests(void **state)
{
	struct disk_range ranges[] = {
		{ .offset = 4096, .size = 8192 },
		{ .offset = 65536, .size = 131072, .unmap = true },
	};
	struct disk_request request = {
		.kind = DISK_ZERO, .ranges = ranges, .nr_ranges = 2, .durable = true,
	};
	char *memory = aligned_alloc(4096, SIZE);
	int fd;

	start(*state);
	fd = open(file("image"), O_RDWR);
	memset(memory, 0x77, SIZE);
	assert_int_equal(pwrite(fd, memory, SIZE, 0), SIZE);
	assert_int_equal(disk_begin(&disk, &request), 0);
	disk_go(&disk);
	wait_for(1);
	assert_int_equal(request.result, 0);
	assert_int_equal(pread(fd, memory, SIZE, 0), SIZE);
	assert_int_equal(memory[4095], 0x77);
	assert_int_equal(memory[4096], 0);
	assert_int_equal(memory[4096 + 8191], 0);
	assert_int_equal(memory[4096 + 8192], 0x77);
	assert_int_equal(memory[65536 + 131071], 0);
	assert_int_equal(memory[65536 + 131072], 0x77);
	ends = 0;
	request = (struct disk_request){ .kind = DISK_FLUSH };
	assert_int_equal(disk_begin(&disk, &request), 0);
	disk_go(&disk);
	wait_for(1);
	assert_int_equal(request.result, 0);
	ends = 0;
	request = (struct disk_request){
		.kind = DISK_DISCARD, .ranges = ranges, .nr_ranges = 1,
	};
	assert_int_equal(disk_begin(&disk, &request), 0);
	disk_go(&disk);
	wait_for(1);
	assert_int_equal(request.result, 0);
	stop();
	close(fd);
	free(memory);
}

/* All that is in flight has ended when it is closed. */
static void draining_waits(void **state)
{
	char *memory = aligned_alloc(4096, SIZE);
	unsigned int i;

	start(*state);
	memset(memory, 1, SIZE);
	for (i = 0; i < AT_ONCE; i++)
		begin(i, DISK_WRITE, memory + i * MOST, 0);
	disk_go(&disk);
	stop();
	assert_int_equal(ends, AT_ONCE);
	free(memory);
}

/* The thread that begins requests does not wait for their ends. */
static void a_kernel_without_memory(void **state)
{
	char *memory = aligned_alloc(4096, SIZE);
	uint64_t begun;

	start(*state);
	no_memory = 3;
	begin(0, DISK_READ, memory, 0);
	begun = now_ns();
	disk_go(&disk);
	assert_true(now_ns() - begun < 10 * SECOND);
	assert_int_equal(no_memory, 2);
	wait_for(1);
	assert_int_equal(no_memory, 0);
	assert_int_equal(requests[0].result, 0);
	stop();
	free(memory);
}

/* A guest that asks for its whole memory at once holds nobody else up. */
static void much_is_copied_by_others(void **state)
{
	const struct how *how = *state;
	char *memory = aligned_alloc(4096, SIZE);
	struct iovec all = { memory, SIZE };
	unsigned int i;

	start(how);
	for (i = 0; i < AT_ONCE; i++)
		begin(i, i % 2 ? DISK_READ : DISK_WRITE, memory + i * MOST, 0);
	copied = 0;
	disk_go(&disk);
	/* Without the page cache nothing is copied. */
	if (!how->direct)
		assert_in_range(copied, MOST, 1 << 20);
	wait_for(AT_ONCE);
	/* The bound is a batch's. */
	ends = 0;
	begin(0, DISK_READ, memory, 0);
	disk_go(&disk);
	assert_int_equal(copied, MOST);
	wait_for(1);
	ends = 0;
	requests[0] = (struct disk_request){
		.kind = DISK_READ, .size = SIZE, .iov = &all, .nr_iov = 1,
	};
	assert_int_equal(disk_begin(&disk, &requests[0]), 0);
	disk_go(&disk);
	assert_int_equal(copied, how->direct ? SIZE : 0);
	wait_for(1);
	assert_int_equal(requests[0].result, 0);
	stop();
	free(memory);
}

/* The ring takes no other files and no other requests. */
static void a_ring_is_restricted(void **state)
{
	struct io_uring *ring;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char byte;
	int i;

	start(*state);
	ring = disk.engine_data;	/* its first member */
	for (i = 0; i < 3; i++) {
		sqe = io_uring_get_sqe(ring);
		switch (i) {
		case 0:
			io_uring_prep_nop(sqe);
			io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
			break;
		case 1:
			io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
			io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
			break;
		case 2:		/* the file, but not as the registered one */
			io_uring_prep_readv(sqe, disk.fd, &(struct iovec){ &byte, 1 }, 1, 0);
			break;
		}
		assert_int_equal(__real_io_uring_submit(ring), 1);
		assert_int_equal(io_uring_wait_cqe(ring, &cqe), 0);
		assert_int_equal(cqe->res, -EACCES);
		io_uring_cqe_seen(ring, cqe);
	}
	assert_int_equal(io_uring_register_files_update(ring, 0, &disk.fd, 1), -EACCES);
	stop();
}

/* A VMM that is killed with a ring: the next one waits for what is left of its lock. */
static void a_lock_of_a_dead_process(void **state)
{
	struct disk next;
	char byte;
	int ready[2], status;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (!child) {
		start(*state);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(try_open(&next, "image", false, false), -EBUSY);
	assert_non_null(strstr(why, "process "));
	disk_close(&next);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(try_open(&next, "image", false, false), 0);
	disk_close(&next);
	close(ready[0]);
	close(ready[1]);
}

/* ---- The option ---- */

static int read_option(struct disks *disks, const char *option)
{
	const struct option_list list = { .nr = 1, .values = { option } };

	memset(disks, 0, sizeof(*disks));
	return disks_read(disks, &list);
}

static void options(void **state)
{
	static const char *const wrong[] = {
		"", ",readonly", "a,", "a,b", "a,readonly,", "a,cache=", "a,cache=some",
		"a,readonlyx", "a,serial=", "a,serial=123456789012345678901", "a,serial=a b",
		"a,,,", "a,serial",
	};
	struct disks disks;
	unsigned int i;

	(void)state;
	assert_int_equal(read_option(&disks, "/a/b"), 0);
	assert_string_equal(disks.all[0].disk.path, "/a/b");
	assert_string_equal(disks.all[0].serial, "disk0");
	assert_false(disks.all[0].disk.readonly || disks.all[0].disk.direct);
	disks_free(&disks);
	assert_int_equal(read_option(&disks, "a,,b,,,readonly,cache=none,"
				     "serial=12345678901234567890"), 0);
	assert_string_equal(disks.all[0].disk.path, "a,b,");
	assert_string_equal(disks.all[0].serial, "12345678901234567890");
	assert_true(disks.all[0].disk.readonly && disks.all[0].disk.direct);
	disks_free(&disks);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(read_option(&disks, wrong[i]), EXIT_USAGE);
		disks_free(&disks);
	}
}

static struct how ring, threads = { .by_threads = true };
static struct how ring_direct = { .direct = true };
static struct how threads_direct = { .by_threads = true, .direct = true };

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_disk),
		cmocka_unit_test(its_sizes),
		cmocka_unit_test(one_writer_or_readers),
		cmocka_unit_test_prestate(many_at_once, &ring),
		cmocka_unit_test_prestate(many_at_once, &threads),
		cmocka_unit_test_prestate(many_at_once, &ring_direct),
		cmocka_unit_test_prestate(many_at_once, &threads_direct),
		cmocka_unit_test_prestate(other_requests, &ring),
		cmocka_unit_test_prestate(other_requests, &threads),
		cmocka_unit_test_prestate(other_requests, &ring_direct),
		cmocka_unit_test_prestate(other_requests, &threads_direct),
		cmocka_unit_test_prestate(draining_waits, &ring),
		cmocka_unit_test_prestate(draining_waits, &threads),
		cmocka_unit_test_prestate(draining_waits, &ring_direct),
		cmocka_unit_test_prestate(draining_waits, &threads_direct),
		cmocka_unit_test_prestate(a_kernel_without_memory, &ring),
		cmocka_unit_test_prestate(much_is_copied_by_others, &ring),
		cmocka_unit_test_prestate(much_is_copied_by_others, &ring_direct),
		cmocka_unit_test_prestate(a_ring_is_restricted, &ring),
		cmocka_unit_test_prestate(a_lock_of_a_dead_process, &ring),
		cmocka_unit_test_prestate(a_lock_of_a_dead_process, &threads),
		cmocka_unit_test(options),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
