// SPDX-License-Identifier: MIT
/*
 * Carries out a request step by step. If the host's kernel did only a part, continue with the rest;
 * if a file system cannot do something, do it in another way.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/say.h"
#include "disk/disk.h"

#define PAGE		4096U
#define BOUNCE		(128U << 10)	/* of a request whose memory is not aligned */
#define ZEROES		(64U << 10)
#define ZERO_IOVS	64U

/* Kinds of failure, each of which is reported once. */
enum { SAID_SHORT = 1, SAID_FULL = 2, SAID_OTHER = 4 };

/* ---- Failures ---- */

static bool say_once(struct disk *disk, unsigned int what)
{
	bool first = !(disk->said & what);

	disk->said |= what;
	return first;
}

static void complain(struct disk *disk, int error)
{
	switch (error) {
	case -ENODATA:
		if (say_once(disk, SAID_SHORT))
			say_failed(-EIO,
				   "disk %s: the image is shorter than it was: the guest gets errors",
				   disk->name);
		break;
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		if (say_once(disk, SAID_FULL))
			say_failed(error, "disk %s: the image cannot grow: the guest gets errors",
				   disk->name);
		break;
	default:
		if (say_once(disk, SAID_OTHER))
			say_failed(error, "disk %s: the guest gets errors", disk->name);
		break;
	}
}

/*
 * Uses only calls that a confined VMM may make, which take no path. The kernel has the size at
 * hand; from Linux 6.11 on, a file system is not made to ask a server for it.
 */
static int look_at_size(int fd, uint64_t *size)
{
	struct statx stx;
	struct stat st;

	if (!syscall(SYS_statx, fd, NULL, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &stx)) {
		*size = stx.stx_size;
		return 0;
	}
	if (errno != EFAULT || syscall(SYS_fstat, fd, &st))
		return -errno;
	*size = st.st_size;
	return 0;
}

/* A write beyond the end would make a file longer again, with zeroes for the lost data. */
static bool is_short(struct disk *disk)
{
	uint64_t size;

	if (!disk->is_file || disk->looked)
		return false;
	if (look_at_size(disk->fd, &size))
		return false;
	disk->looked = size >= disk->geometry.size;
	return !disk->looked;
}

/* ---- Memory ---- */

static void advance(struct disk_request *request, uint64_t bytes)
{
	request->moved += bytes;
	while (bytes && request->nr_iov) {
		struct iovec *iov = request->iov;
		uint64_t part = bytes < iov->iov_len ? bytes : iov->iov_len;

		iov->iov_base = (char *)iov->iov_base + part;
		iov->iov_len -= part;
		bytes -= part;
		if (!iov->iov_len) {
			request->iov++;
			request->nr_iov--;
		}
	}
}

/* Copy between the memory that is next and the bounce buffer. */
static void copy(struct disk_request *request, uint64_t size, bool to_bounce)
{
	char *bounce = request->bounce;
	unsigned int i;

	for (i = 0; size && i < request->nr_iov; i++) {
		const struct iovec *iov = &request->iov[i];
		uint64_t part = size < iov->iov_len ? size : iov->iov_len;

		if (to_bounce)
			memcpy(bounce, iov->iov_base, part);
		else
			memcpy(iov->iov_base, bounce, part);
		bounce += part;
		size -= part;
	}
}

/* Without page cache, memory has to be aligned as the device wants it. */
static bool wants_bounce(const struct disk *disk, const struct disk_request *request)
{
	unsigned int i;

	if (!disk->direct)
		return false;
	for (i = 0; i < request->nr_iov; i++)
		if (((uintptr_t)request->iov[i].iov_base | request->iov[i].iov_len) &
		    (disk->geometry.memory - 1) ||
		    request->iov[i].iov_len & (disk->geometry.block - 1))
			return true;
	return false;
}

/* ---- The next step ---- */

static void plan_move(struct disk_request *request)
{
	bool write = request->kind == DISK_WRITE;
	uint64_t size = request->size - request->moved;

	request->step = (struct disk_step){
		.what = write ? STEP_WRITE : STEP_READ, .iov = request->iov,
		.nr_iov = request->nr_iov, .offset = request->offset + request->moved,
		.size = size,
	};
	if (!request->bounced)
		return;
	if (size > BOUNCE)
		size = BOUNCE;
	if (write)
		copy(request, size, true);
	request->bounce_iov = (struct iovec){ request->bounce, size };
	request->step.iov = &request->bounce_iov;
	request->step.nr_iov = 1;
	request->step.size = size;
}

static bool is_punched(const struct disk *disk, const struct disk_request *request)
{
	return !disk->no_punch && (request->kind == DISK_DISCARD ||
				   request->ranges[request->range].unmap);
}

static void plan_zeroes(struct disk_request *request, uint64_t offset, uint64_t size)
{
	static const char zeroes[ZEROES] __attribute__((aligned(PAGE)));
	static const struct iovec many[ZERO_IOVS] = {
		[0 ... ZERO_IOVS - 1] = { (void *)zeroes, ZEROES },
	};

	request->step = (struct disk_step){
		.what = STEP_WRITE, .iov = many, .nr_iov = size / ZEROES, .offset = offset,
		.size = size,
	};
	if (request->step.nr_iov > ZERO_IOVS)
		request->step.nr_iov = ZERO_IOVS;
	if (request->step.nr_iov)
		return;
	request->bounce_iov = (struct iovec){ (void *)zeroes, size };
	request->step.iov = &request->bounce_iov;
	request->step.nr_iov = 1;
}

static void plan_range(const struct disk *disk, struct disk_request *request)
{
	const struct disk_range *range = &request->ranges[request->range];
	uint64_t offset = range->offset + request->moved;
	uint64_t size = range->size - request->moved;

	if (request->kind == DISK_ZERO && !is_punched(disk, request) && disk->no_zero) {
		plan_zeroes(request, offset, size);
		return;
	}
	request->step = (struct disk_step){
		.what = STEP_ALLOCATE, .offset = offset, .size = size,
		.mode = FALLOC_FL_KEEP_SIZE | (is_punched(disk, request) ?
					       FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
	};
}

/* Discarding is advice: if it cannot be followed, do nothing. */
static bool has_range(const struct disk *disk, struct disk_request *request)
{
	if (request->kind == DISK_DISCARD && disk->no_punch)
		return false;
	while (request->range < request->nr_ranges &&
	       request->moved == request->ranges[request->range].size) {
		request->range++;
		request->moved = 0;
	}
	return request->range < request->nr_ranges;
}

static bool has_work(const struct disk *disk, struct disk_request *request)
{
	switch (request->kind) {
	case DISK_READ:
	case DISK_WRITE:
		return request->moved < request->size;
	case DISK_DISCARD:
	case DISK_ZERO:
		return has_range(disk, request);
	default:
		return false;
	}
}

/* False: there is no further step, and the request is done. */
static bool plan(const struct disk *disk, struct disk_request *request)
{
	if (has_work(disk, request)) {
		if (request->kind == DISK_READ || request->kind == DISK_WRITE)
			plan_move(request);
		else
			plan_range(disk, request);
		return true;
	}
	if (!request->durable || request->synced)
		return false;
	request->step = (struct disk_step){ .what = STEP_SYNC };
	return true;
}

/* ---- What came of a step ---- */

static bool is_unsupported(int64_t error)
{
	return error == -EOPNOTSUPP || error == -ENOSYS || error == -ENODEV;
}

static int moved(struct disk_request *request)
{
	int64_t bytes = request->step.result;

	if (!bytes || bytes > (int64_t)request->step.size)
		return request->kind == DISK_READ ? -ENODATA : -EIO;
	if (request->bounced && request->kind == DISK_READ)
		copy(request, bytes, false);
	advance(request, bytes);
	return 0;
}

/* The range is zeroed as far as the step went; if it failed, try another way. */
static int zeroed(struct disk *disk, struct disk_request *request)
{
	const struct disk_step *step = &request->step;

	if (step->what == STEP_WRITE) {
		if (!step->result)
			return -EIO;
		request->moved += step->result;
	} else if (!step->result) {
		request->moved += step->size;
	} else if (step->mode & FALLOC_FL_PUNCH_HOLE) {
		disk->no_punch = true;
	} else {
		disk->no_zero = true;
	}
	return 0;
}

/* 0: go on; or -errno */
static int carried_out(struct disk *disk, struct disk_request *request)
{
	const struct disk_step *step = &request->step;

	if (step->result == -EINTR || step->result == -EAGAIN)
		return 0;
	if (step->result < 0 && !(step->what == STEP_ALLOCATE && is_unsupported(step->result)))
		return step->result;
	switch (request->kind) {
	case DISK_READ:
		return moved(request);
	case DISK_WRITE:
		if (step->what == STEP_WRITE)
			return moved(request);
		break;
	case DISK_DISCARD:
	case DISK_ZERO:
		if (step->what != STEP_SYNC)
			return zeroed(disk, request);
		break;
	case DISK_FLUSH:
		break;
	}
	request->synced = true;
	return 0;
}

static void end(struct disk *disk, struct disk_request *request, int result)
{
	free(request->bounce);
	request->bounce = NULL;
	request->result = result;
	if (result)
		complain(disk, result);
	disk->in_flight--;
	disk->done(disk, request);
}

/* ---- From outside ---- */

int disk_begin(struct disk *disk, struct disk_request *request)
{
	request->moved = 0;
	request->range = 0;
	request->bounce = NULL;
	request->bounced = false;
	request->synced = disk->readonly;
	if (request->kind == DISK_FLUSH)
		request->durable = true;
	if (request->kind != DISK_READ && request->kind != DISK_FLUSH) {
		if (disk->readonly)
			return -EROFS;
		if (is_short(disk)) {
			complain(disk, -ENODATA);
			return -ENODATA;
		}
	}
	if ((request->kind == DISK_READ || request->kind == DISK_WRITE) &&
	    wants_bounce(disk, request)) {
		request->bounced = true;
		request->bounce = aligned_alloc(PAGE, BOUNCE);
		if (!request->bounce)
			return -ENOMEM;
	}
	disk->in_flight++;
	if (plan(disk, request))
		disk->engine->put(disk, request);
	else
		end(disk, request, 0);
	return 0;
}

void disk_reap(struct disk *disk)
{
	struct disk_request *request;

	while ((request = disk->engine->take(disk))) {
		int ret = carried_out(disk, request);

		if (!ret && plan(disk, request))
			disk->engine->put(disk, request);
		else
			end(disk, request, ret);
	}
	disk_go(disk);
	disk->settled(disk);
}
