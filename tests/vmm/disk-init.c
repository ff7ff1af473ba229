// SPDX-License-Identifier: MIT
/*
 * The first process of a Linux guest whose disks are under test: reports what went right, and
 * resets. On the host, `disk-init check FILE` checks what a guest has left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECTOR		512UL
#define WORDS		(SECTOR / sizeof(uint64_t))
#define BLOCK		4096UL
#define LARGE		(1UL << 20)
#define WRITERS		4
#define WRITES		60	/* of a writer */
#define MOST_BLOCKS	16	/* of one write */
#define STATUS		0x14	/* of a virtio device, in its first BAR */

static char *buffer;

static void fail(const char *what)
{
	printf("disk: %s failed: %s\n", what, strerror(errno));
	fflush(stdout);
}

static void ok(const char *what)
{
	printf("disk: %s ok\n", what);
	fflush(stdout);
}

/* ---- What is in a sector: its number, a generation, and words that follow from these ---- */

static uint64_t word(uint64_t sector, uint64_t generation, unsigned int i)
{
	uint64_t x = (sector << 20 ^ generation) * 0x9e3779b97f4a7c15ULL + i;

	x ^= x >> 29;
	return x * 0xbf58476d1ce4e5b9ULL;
}

static void fill(char *to, uint64_t sector, uint64_t count, uint64_t generation)
{
	for (; count; count--, sector++, to += SECTOR) {
		uint64_t *words = (uint64_t *)to;
		unsigned int i;

		words[0] = sector;
		words[1] = generation;
		for (i = 2; i < WORDS; i++)
			words[i] = word(sector, generation, i);
	}
}

/* One of any generation, or one that was never written, is whole. */
static bool is_whole(const char *at, uint64_t sector, uint64_t *generation)
{
	const uint64_t *words = (const uint64_t *)at;
	unsigned int i, zeroes = 0;

	for (i = 0; i < WORDS; i++)
		zeroes += !words[i];
	*generation = words[1];
	if (zeroes == WORDS)
		return true;
	for (i = 2; i < WORDS; i++)
		if (words[i] != word(sector, *generation, i))
			return false;
	return words[0] == sector;
}

static bool is_filled(const char *at, uint64_t sector, uint64_t count, uint64_t generation)
{
	uint64_t found;

	for (; count; count--, sector++, at += SECTOR)
		if (!is_whole(at, sector, &found) || found != generation)
			return false;
	return true;
}

static bool is_zero(const char *at, uint64_t size)
{
	uint64_t i;

	for (i = 0; i < size; i++)
		if (at[i])
			return false;
	return true;
}

static int check_file(const char *path)
{
	static char all[LARGE];
	uint64_t sector = 0, written = 0, generation;
	int fd = open(path, O_RDONLY);
	ssize_t got, i;

	if (fd < 0)
		return 1;
	while ((got = read(fd, all, LARGE)) > 0) {
		for (i = 0; i < got; i += SECTOR, sector++) {
			if (!is_whole(all + i, sector, &generation)) {
				printf("sector %lu is torn\n", (unsigned long)sector);
				return 1;
			}
			written += !!generation;
		}
	}
	printf("%lu sectors, %lu of them written\n", (unsigned long)sector,
	       (unsigned long)written);
	return 0;
}

/* ---- Disks ---- */

static uint64_t size_of(int fd)
{
	uint64_t size = 0;

	ioctl(fd, BLKGETSIZE64, &size);
	return size;
}

static int open_disk(const char *name, int flags)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, flags);
	if (fd < 0)
		fail(path);
	return fd;
}

/* From one end to the other, in large pieces. */
static bool sequential(const char *name, int flags)
{
	int fd = open_disk(name, O_RDWR | flags);
	uint64_t at, size = size_of(fd);
	bool good = fd >= 0 && size;

	for (at = 0; good && at < size; at += LARGE) {
		fill(buffer, at / SECTOR, LARGE / SECTOR, 1);
		good = pwrite(fd, buffer, LARGE, at) == LARGE;
	}
	good = good && !fsync(fd) && !ioctl(fd, BLKFLSBUF, 0);
	for (at = 0; good && at < size; at += LARGE)
		good = pread(fd, buffer, LARGE, at) == LARGE &&
		       is_filled(buffer, at / SECTOR, LARGE / SECTOR, 1);
	close(fd);
	return good;
}

/* Writes of any size to a part of the disk, over each other; then all of it is read. */
static int random_writer(int fd, uint64_t first, uint64_t blocks, unsigned int seed)
{
	uint64_t *generations = calloc(blocks, sizeof(*generations)), i, at, count;
	unsigned int n;

	for (n = 0; n < WRITES; n++) {
		at = rand_r(&seed) % blocks;
		count = 1 + rand_r(&seed) % MOST_BLOCKS;
		if (count > blocks - at)
			count = blocks - at;
		fill(buffer, (first + at) * BLOCK / SECTOR, count * BLOCK / SECTOR, n + 2);
		if (pwrite(fd, buffer, count * BLOCK, (first + at) * BLOCK) !=
		    (ssize_t)(count * BLOCK))
			return 1;
		for (i = 0; i < count; i++)
			generations[at + i] = n + 2;
		if (n % 50 == 0 && fdatasync(fd))
			return 1;
	}
	for (at = 0; at < blocks; at++)
		if (generations[at] &&
		    (pread(fd, buffer, BLOCK, (first + at) * BLOCK) != BLOCK ||
		     !is_filled(buffer, (first + at) * BLOCK / SECTOR, BLOCK / SECTOR,
				generations[at])))
			return 1;
	return 0;
}

static bool at_random(const char *name, int flags)
{
	int fd = open_disk(name, O_RDWR | flags), i, status;
	uint64_t blocks = size_of(fd) / BLOCK / WRITERS;
	bool good = fd >= 0 && blocks;

	for (i = 0; i < WRITERS; i++)
		if (!fork())
			_exit(random_writer(fd, i * blocks, blocks, i + 1));
	while (wait(&status) > 0)
		good = good && !status;
	close(fd);
	return good;
}

/* Memory that is aligned to sectors only, and a request that is one sector. */
static bool small(const char *name)
{
	int fd = open_disk(name, O_RDWR | O_DIRECT);
	char *at = buffer + 3 * SECTOR;
	bool good;

	fill(at, 5, 3, 77);
	good = pwrite(fd, at, 3 * SECTOR, 5 * SECTOR) == 3 * SECTOR;
	memset(at, 0, 3 * SECTOR);
	good = good && pread(fd, at, SECTOR, 6 * SECTOR) == SECTOR && is_filled(at, 6, 1, 77);
	close(fd);
	return good;
}

static bool zeroing(const char *name, unsigned long request)
{
	int fd = open_disk(name, O_RDWR | O_DIRECT);
	uint64_t range[2] = { LARGE, LARGE };
	bool good = !ioctl(fd, request, range) && !fsync(fd) &&
		    pread(fd, buffer, LARGE, LARGE) == LARGE && is_zero(buffer, LARGE) &&
		    pread(fd, buffer, BLOCK, 0) == BLOCK && !is_zero(buffer, BLOCK) &&
		    pread(fd, buffer, BLOCK, 2 * LARGE) == BLOCK && !is_zero(buffer, BLOCK);

	close(fd);
	return good;
}

static bool readonly(const char *name)
{
	int fd = open_disk(name, O_RDONLY), other, is = 0;
	char path[32];
	bool good;

	snprintf(path, sizeof(path), "/dev/%s", name);
	good = !ioctl(fd, BLKROGET, &is) && is && pread(fd, buffer, LARGE, 0) == LARGE &&
	       is_filled(buffer, 0, LARGE / SECTOR, 9);
	other = open(path, O_RDWR);
	good = good && (other < 0 || write(other, buffer, BLOCK) < 0);
	close(other);
	close(fd);
	return good;
}

static bool has_text(const char *path, const char *text)
{
	char line[64] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, line, sizeof(line) - 1) < 0)
		return false;
	close(fd);
	line[strcspn(line, "\n")] = '\0';
	return !strcmp(line, text);
}

/* Some of it can be written; an error follows, and what was written stays. */
static bool full(const char *name)
{
	int fd = open_disk(name, O_RDWR | O_DIRECT);
	uint64_t at, written = 0, size = size_of(fd);
	bool failed = false, good = true;

	for (at = 0; at < size && !failed; at += LARGE) {
		fill(buffer, at / SECTOR, LARGE / SECTOR, 3);
		failed = pwrite(fd, buffer, LARGE, at) != LARGE;
		if (!failed)
			written += LARGE;
	}
	failed = failed && errno == EIO;
	for (at = 0; good && at < written; at += LARGE)
		good = pread(fd, buffer, LARGE, at) == LARGE &&
		       is_filled(buffer, at / SECTOR, LARGE / SECTOR, 3);
	close(fd);
	return failed && good && written;
}

/* The host makes it shorter when we ask for it by a line; the rest can be used. */
static bool shorter(const char *name)
{
	int fd = open_disk(name, O_RDWR | O_DIRECT);
	uint64_t last = size_of(fd) - BLOCK;
	bool good = pwrite(fd, buffer, BLOCK, last) == BLOCK;
	int tries;

	ok("waiting for a shorter image");
	for (tries = 0; tries < 600; tries++) {
		if (pread(fd, buffer, BLOCK, last) < 0)
			break;
		usleep(100000);
	}
	good = good && errno == EIO && tries < 600;
	good = good && pread(fd, buffer, BLOCK, 0) == BLOCK;
	good = good && pwrite(fd, buffer, BLOCK, last) < 0 && errno == EIO;
	close(fd);
	return good;
}

/* For ever. */
static void keep_writing(const char *name)
{
	unsigned int n = 0, seed = 1, i;
	int fd = open_disk(name, O_RDWR | O_DIRECT);
	uint64_t blocks = size_of(fd) / BLOCK / WRITERS, at;

	for (i = 0; i < WRITERS; i++) {
		if (fork())
			continue;
		for (n = 1;; n++) {
			at = i * blocks + rand_r(&seed) % (blocks - MOST_BLOCKS);
			fill(buffer, at * BLOCK / SECTOR, MOST_BLOCKS * BLOCK / SECTOR, n);
			if (pwrite(fd, buffer, MOST_BLOCKS * BLOCK, at * BLOCK) < 0)
				_exit(1);
		}
	}
	close(fd);
}

/* As a driver does that has lost its way: with requests in flight. */
static bool reset_device(const char *name)
{
	char path[64];
	volatile uint8_t *registers;
	int fd, tries;

	snprintf(path, sizeof(path), "/sys/block/%s/device/../resource0", name);
	fd = open(path, O_RDWR | O_SYNC);
	registers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || registers == MAP_FAILED || !registers[STATUS])
		return false;
	registers[STATUS] = 0;
	for (tries = 0; tries < 100 && registers[STATUS]; tries++)
		usleep(100000);
	return !registers[STATUS];
}

static void say(const char *what, bool good)
{
	if (good)
		ok(what);
	else
		fail(what);
}

static void all_tests(void)
{
	int tty = open("/dev/null", O_RDWR);

	close(tty);
	say("serial", has_text("/sys/block/vda/serial", "disk0") &&
	    has_text("/sys/block/vdb/serial", "second"));
	/* Their interrupts go where their requests come from. */
	say("a queue each CPU", !access("/sys/block/vda/mq/0/cpu0", F_OK) &&
	    !access("/sys/block/vda/mq/1/cpu1", F_OK) && access("/sys/block/vda/mq/2", F_OK));
	say("sequential writes of a file", sequential("vda", O_DIRECT));
	say("sequential writes of a device", sequential("vdb", 0));
	say("random writes of a file", at_random("vda", 0));
	say("random writes of a device", at_random("vdb", O_DIRECT));
	say("sectors of a file", small("vda"));
	say("sectors of a device", small("vdb"));
	say("discard", sequential("vda", 0) && zeroing("vda", BLKDISCARD));
	say("zeroes", sequential("vda", 0) && zeroing("vda", BLKZEROOUT));
	say("zeroes of a device", sequential("vdb", 0) && zeroing("vdb", BLKZEROOUT));
	say("readonly", readonly("vdc"));
	say("full", full("vdd"));
	say("shorter", shorter("vde"));
	keep_writing("vda");
	keep_writing("vdb");
	sleep(1);
	say("reset in flight", reset_device("vda"));
	ok("resetting all of it");
	reboot(RB_AUTOBOOT);
}

static void writes_only(void)
{
	keep_writing("vda");
	ok("writing");
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	char line[512] = "";
	int fd;

	if (getpid() != 1) {
		if (argc == 3 && !strcmp(argv[1], "check"))
			return check_file(argv[2]);
		if (argc == 4 && !strcmp(argv[1], "fill")) {
			static char mib[LARGE];
			long i, count = atol(argv[3]);

			fd = open(argv[2], O_CREAT | O_WRONLY, 0600);
			for (i = 0; i < count; i++) {
				fill(mib, i * LARGE / SECTOR, LARGE / SECTOR, 9);
				if (write(fd, mib, LARGE) != LARGE)
					return 1;
			}
			return close(fd);
		}
		return 2;
	}
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	fd = open("/proc/cmdline", O_RDONLY);
	if (read(fd, line, sizeof(line) - 1) < 0)
		fail("command line");
	fd = open("/virtio_blk.ko", O_RDONLY);
	if (syscall(SYS_finit_module, fd, "", 0))
		fail("module");
	buffer = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (strstr(line, "disk=write"))
		writes_only();
	all_tests();
	return 1;
}
