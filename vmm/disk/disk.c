// SPDX-License-Identifier: MIT
/* Opens a disk, and finds its kind, size and units. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/say.h"
#include "disk/disk.h"

#define SECTOR		512U
#define MOST_BLOCK	4096U	/* that drivers know */
#define MOST_PHYSICAL	65536U

static int fail(int error, char *why, const char *words)
{
	snprintf(why, DISK_WHY, "%s", words);
	return error;
}

static bool is_power_of_two(uint64_t number)
{
	return number && !(number & (number - 1));
}

/* ---- Opening ---- */

/*
 * Never open a block device for writing if it is mounted or otherwise in exclusive use. A file that
 * is not a disk must not block us.
 */
static int open_path(const struct disk_options *options, int more)
{
	int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY | more |
		    (options->readonly ? O_RDONLY : O_RDWR) | (options->direct ? O_DIRECT : 0);
	int fd = open(options->path, flags);

	if (fd < 0)
		return -errno;
	/* Only for the open: io_uring would fail a request that has to wait. */
	if (fcntl(fd, F_SETFL, options->direct ? O_DIRECT : 0)) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

static int explain_open(int error, const struct disk_options *options, char *why)
{
	switch (error) {
	case -EACCES:
	case -EROFS:
	case -EPERM:
		return fail(error, why, options->readonly ? "it cannot be opened for reading" :
			    "it cannot be opened for writing; 'readonly' does without");
	case -EINVAL:
		return fail(error, why, options->direct ?
			    "it cannot be opened; its file system may not have cache=none" :
			    "it cannot be opened");
	default:
		return fail(error, why, "it cannot be opened");
	}
}

static int open_file(struct disk *disk, const struct disk_options *options, char *why)
{
	struct stat st;
	int fd;

	disk->fd = options->given ? options->fd : open_path(options, 0);
	if (disk->fd < 0)
		return explain_open(disk->fd, options, why);
	if (fstat(disk->fd, &st))
		return fail(-errno, why, "it cannot be looked at");
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return fail(-EINVAL, why, "it is neither a file nor a block device");
	disk->is_file = S_ISREG(st.st_mode);
	/* The lock goes along, since it belongs to the open file. */
	if (options->given)
		return 0;
	if (disk->is_file || disk->readonly)
		return disk_lock(disk->fd, disk->readonly, why);
	/* The lock detects our own programs; only O_EXCL detects others. */
	fd = open_path(options, O_EXCL);
	if (fd >= 0) {
		close(disk->fd);
		disk->fd = fd;
		return disk_lock(fd, false, why);
	}
	if (fd == -EBUSY && disk_lock(disk->fd, false, why) == -EBUSY)
		return -EBUSY;
	return fd == -EBUSY ?
	       fail(fd, why, "the host uses it: is it mounted, or part of a volume?") :
	       explain_open(fd, options, why);
}

/* ---- Its sizes ---- */

/* Can we read so many bytes, to memory of such alignment, without page cache? */
static bool can_read(int fd, uint32_t size)
{
	char *memory;
	bool can;

	if (posix_memalign((void **)&memory, 2 * MOST_BLOCK, 2 * MOST_BLOCK))
		return false;
	can = pread(fd, memory + size % MOST_BLOCK, size, 0) >= 0;
	free(memory);
	return can;
}

/* The file's requirements for I/O without page cache; not every file system reports them. */
static int direct_geometry(struct disk *disk, char *why)
{
	struct disk_geometry *geometry = &disk->geometry;
	struct statx stx;

	if (!statx(disk->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
	    stx.stx_mask & STATX_DIOALIGN) {
		if (!stx.stx_dio_offset_align)
			return fail(-EINVAL, why, "its file system has no cache=none");
		geometry->memory = stx.stx_dio_mem_align;
		if (geometry->block < stx.stx_dio_offset_align)
			geometry->block = stx.stx_dio_offset_align;
		return 0;
	}
	while (!can_read(disk->fd, geometry->block)) {
		geometry->block *= 2;
		if (geometry->block > MOST_BLOCK)
			return fail(-EINVAL, why, "it cannot be read with cache=none");
	}
	geometry->memory = geometry->block;
	return 0;
}

static int file_geometry(struct disk *disk, char *why)
{
	struct stat st;

	if (fstat(disk->fd, &st))
		return fail(-errno, why, "it cannot be looked at");
	disk->geometry = (struct disk_geometry){
		.size = st.st_size, .block = SECTOR, .physical = st.st_blksize,
		.minimal = st.st_blksize,
	};
	return 0;
}

static int device_geometry(struct disk *disk, char *why)
{
	struct disk_geometry *geometry = &disk->geometry;
	unsigned int physical, minimal, optimal;
	int block, readonly;

	if (ioctl(disk->fd, BLKGETSIZE64, &geometry->size) ||
	    ioctl(disk->fd, BLKSSZGET, &block) || ioctl(disk->fd, BLKPBSZGET, &physical) ||
	    ioctl(disk->fd, BLKIOMIN, &minimal) || ioctl(disk->fd, BLKIOOPT, &optimal) ||
	    ioctl(disk->fd, BLKROGET, &readonly))
		return fail(-errno, why, "the device does not tell its sizes");
	if (readonly && !disk->readonly)
		return fail(-EROFS, why, "the device cannot be written; 'readonly' does without");
	geometry->block = block;
	geometry->physical = physical;
	geometry->minimal = minimal;
	geometry->optimal = optimal;
	return 0;
}

/* Make the host's values valid for a driver. */
static int check_geometry(struct disk_geometry *geometry, char *why)
{
	if (!is_power_of_two(geometry->block) || geometry->block < SECTOR ||
	    geometry->block > MOST_BLOCK)
		return fail(-EINVAL, why, "its blocks are not of 512 to 4096 bytes");
	if (!geometry->size)
		return fail(-EINVAL, why, "it is empty");
	if (geometry->size % geometry->block) {
		snprintf(why, DISK_WHY, "its size is no multiple of %u bytes: "
			 "'truncate -s %%%u' makes it one", geometry->block, geometry->block);
		return -EINVAL;
	}
	if (!is_power_of_two(geometry->physical) || geometry->physical < geometry->block ||
	    geometry->physical > MOST_PHYSICAL)
		geometry->physical = geometry->block;
	if (geometry->minimal % geometry->block || geometry->minimal > 0xffff * SECTOR)
		geometry->minimal = geometry->physical;
	if (geometry->optimal % geometry->block)
		geometry->optimal = 0;
	return 0;
}

int disk_open(struct disk *disk, const struct disk_options *options, char *why)
{
	const char *name = strrchr(options->path, '/');
	int ret;

	*disk = (struct disk){
		.fd = -1, .event.fd = -1, .readonly = options->readonly,
		.direct = options->direct,
	};
	snprintf(disk->name, sizeof(disk->name), "%s", name ? name + 1 : options->path);
	make_printable(disk->name);
	ret = open_file(disk, options, why);
	if (!ret)
		ret = disk->is_file ? file_geometry(disk, why) : device_geometry(disk, why);
	if (!ret && disk->direct)
		ret = direct_geometry(disk, why);
	return ret ? ret : check_geometry(&disk->geometry, why);
}

/* ---- Serving ---- */

static void ready(struct event *event, uint32_t ready)
{
	(void)ready;
	disk_reap(event->data);
}

int disk_start(struct disk *disk, unsigned int most, struct events *events)
{
	int ret;

	disk->most = most;
	disk->events = events;
	ret = disk_ring_open(disk);
	if (ret)	/* kernel.io_uring_disabled, an old kernel, a filter */
		ret = disk_threads_open(disk);
	if (ret)
		return ret;
	disk->event.ready = ready;
	disk->event.data = disk;
	return events_add(events, &disk->event, EPOLLIN);
}

bool disk_holds(const struct disk *disk, uint64_t offset, uint64_t size)
{
	return offset <= disk->geometry.size && size <= disk->geometry.size - offset;
}

void disk_go(struct disk *disk)
{
	disk->looked = false;
	disk->engine->go(disk);
}

int disk_drain(struct disk *disk, uint64_t until)
{
	struct pollfd poll_fd = { .fd = disk->event.fd, .events = POLLIN };
	uint64_t now;

	while (disk->in_flight) {
		now = now_ns();
		if (now >= until)
			return -ETIMEDOUT;
		/* disk_go() puts a step again for which the kernel had no memory. */
		if (poll(&poll_fd, 1, 1 + (until - now < 10000000 ? 0 : 9)) > 0)
			disk_reap(disk);
		else
			disk_go(disk);
	}
	return 0;
}

void disk_close(struct disk *disk)
{
	if (disk->engine)
		events_remove(disk->events, &disk->event);
	if (disk->in_flight) {
		say("disk %s: requests that do not end are left behind", disk->name);
		return;
	}
	if (disk->engine)
		disk->engine->close(disk);
	disk->engine = NULL;
	if (disk->fd >= 0)
		close(disk->fd);
	disk->fd = -1;
}
