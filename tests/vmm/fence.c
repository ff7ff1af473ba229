// SPDX-License-Identifier: MIT
/*
 * A disk's requests outlive the process that made them, and the pipe in its ring tells when none of
 * them can do anything any more. Uses a kernel device that delays all requests.
 */
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk/disk.h"

#define SLOW	"gmem-slow"
#define DELAY	6000	/* ms: a lab on a loaded host may stand still for seconds */
#define LATE	60000	/* ms */
#define TRIES	4
#define BLOCK	4096UL
#define SECTORS	2048UL

static char slow[32];
static char *memory;	/* of this process and the one that dies */

/* ---- The device ---- */

/* As it is in the kernel's package, which is beside what was built of this. */
static int insert(const char *module)
{
	char path[256] = "", command[1024];
	struct utsname kernel;
	char *end;

	uname(&kernel);
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return -1;
	end = strstr(path, "/.cache/");
	if (!end)
		return -1;
	*end = '\0';
	snprintf(command, sizeof(command),
		 "xz -dc %s/.cache/kernel/root/lib/modules/%s/kernel/drivers/%s.ko.xz >/tmp/fence.ko && "
		 "insmod /tmp/fence.ko", path, kernel.release, module);
	return system(command);
}

static int control(int fd, unsigned long request, void *data, const char *target)
{
	struct {
		struct dm_ioctl head;
		struct dm_target_spec spec;
		char words[128];
	} all = {
		.head = {
			.version = { DM_VERSION_MAJOR, 0, 0 }, .data_size = sizeof(all),
			.data_start = offsetof(typeof(all), spec), .name = SLOW,
			.target_count = !!target,
		},
		.spec = { .length = SECTORS, .target_type = "delay" },
	};
	int ret;

	if (target)
		snprintf(all.words, sizeof(all.words), "%s", target);
	ret = ioctl(fd, request, &all);
	if (data)
		memcpy(data, &all.head, sizeof(all.head));
	return ret;
}

static int set_up(void **state)
{
	struct dm_ioctl made;
	char target[64];
	int fd;

	(void)state;
	memory = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (insert("block/brd") || insert("md/dm-mod") || insert("md/dm-delay"))
		return -1;
	fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	snprintf(target, sizeof(target), "/dev/ram0 0 %d", DELAY);
	if (fd < 0 || control(fd, DM_DEV_CREATE, &made, NULL) ||
	    control(fd, DM_TABLE_LOAD, NULL, target) || control(fd, DM_DEV_SUSPEND, NULL, NULL))
		return -1;
	close(fd);
	snprintf(slow, sizeof(slow), "/dev/dm-%u", minor(made.dev));
	return access(slow, F_OK);
}

/* What is on the medium, past the delay. */
static char on_disk(void)
{
	char *bytes = aligned_alloc(BLOCK, BLOCK), first;
	int fd = open("/dev/ram0", O_RDONLY | O_DIRECT | O_CLOEXEC);

	assert_int_equal(pread(fd, bytes, BLOCK, 0), BLOCK);
	first = *bytes;
	close(fd);
	free(bytes);
	return first;
}

static void put_on_disk(char byte)
{
	char *bytes = aligned_alloc(BLOCK, BLOCK);
	int fd = open("/dev/ram0", O_WRONLY | O_DIRECT | O_CLOEXEC);

	memset(bytes, byte, BLOCK);
	assert_int_equal(pwrite(fd, bytes, BLOCK, 0), BLOCK);
	close(fd);
	free(bytes);
}

/* ---- A process that asks it for something, and is killed ---- */

static void nothing(struct disk *disk, struct disk_request *request)
{
	(void)disk;
	(void)request;
}

static void nothing_more(struct disk *disk)
{
	(void)disk;
}

static int start_disk(struct disk *disk, struct events *events, bool threads)
{
	if (!threads)
		return disk_start(disk, 8, events);
	disk->most = 8;
	disk->events = events;
	return disk_threads_open(disk);
}

static void ask(enum disk_kind kind, bool threads, int life, int told)
{
	const struct disk_options options = { .path = slow, .direct = true };
	struct iovec iov = { memory, BLOCK };
	struct disk_request request = { .kind = kind, .size = BLOCK, .iov = &iov, .nr_iov = 1 };
	struct events events;
	struct disk disk;
	char why[DISK_WHY];

	if (events_open(&events) || disk_open(&disk, &options, why))
		_exit(1);
	disk.done = nothing;
	disk.settled = nothing_more;
	disk.life = life;
	if (start_disk(&disk, &events, threads) || disk_begin(&disk, &request))
		_exit(1);
	disk_go(&disk);
	/* A worker may not have begun yet. */
	usleep(threads ? 300000 : 0);
	if (strcmp(disk.engine->name, threads ? "threads" : "io_uring") ||
	    write(told, "", 1) != 1)
		_exit(1);
	pause();
	_exit(1);
}

/* Returns the pipe's first end, when the process is dead. */
static int die_with(enum disk_kind kind, bool threads)
{
	int life[2], told[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(life, O_CLOEXEC), 0);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		close(life[0]);
		ask(kind, threads, life[1], told[1]);
	}
	close(life[1]);
	close(told[1]);
	assert_int_equal(read(told[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(told[0]);
	return life[0];
}

static bool hangs_up(int life, int timeout)
{
	struct pollfd end = { .fd = life };

	return poll(&end, 1, timeout) > 0 && end.revents & POLLHUP;
}

/* A write now would be told to be done, and then be overwritten. */
static char after_a_write(void)
{
	bool at_once;
	int life;

	put_on_disk('o');
	memset(memory, 'n', BLOCK);
	life = die_with(DISK_WRITE, false);
	assert_int_equal(on_disk(), 'o');
	at_once = hangs_up(life, 0);
	assert_true(hangs_up(life, LATE));
	close(life);
	assert_false(at_once && on_disk() == 'n');
	return on_disk();
}

/*
 * A kernel worker of a busy machine may not have begun with the request when its process dies,
 * and never does then: nothing is late, nor later.
 */
static void a_write_is_late(void **state)
{
	int tries = 0;

	(void)state;
	while (after_a_write() != 'n') {
		assert_true(++tries < TRIES);
		poll(NULL, 0, 2 * DELAY);
		assert_int_equal(on_disk(), 'o');
	}
}

/* Memory that is used for something else now would get the disk's data. */
static char after_a_read(void)
{
	bool at_once;
	int life;

	put_on_disk('d');
	memset(memory, 'm', BLOCK);
	life = die_with(DISK_READ, false);
	assert_int_equal(*memory, 'm');
	at_once = hangs_up(life, 0);
	assert_true(hangs_up(life, LATE));
	close(life);
	assert_false(at_once && *memory == 'd');
	return *memory;
}

static void a_read_is_late(void **state)
{
	int tries = 0;

	(void)state;
	while (after_a_read() != 'd') {
		assert_true(++tries < TRIES);
		poll(NULL, 0, 2 * DELAY);
		assert_int_equal(*memory, 'm');
	}
}

/* They end before their process does. */
static void of_threads_nothing_is_late(void **state)
{
	int life;

	(void)state;
	put_on_disk('o');
	memset(memory, 't', BLOCK);
	life = die_with(DISK_WRITE, true);
	assert_int_equal(on_disk(), 't');
	assert_true(hangs_up(life, LATE));
	close(life);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_is_late),
		cmocka_unit_test(a_read_is_late),
		cmocka_unit_test(of_threads_nothing_is_late),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, NULL);
}
