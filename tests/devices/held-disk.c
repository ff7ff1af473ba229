// SPDX-License-Identifier: MIT
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "held-disk.h"

#define MOST	1024

static bool used, at_once;
static unsigned int nr;
static struct { struct disk *disk; struct disk_request *request; } held[MOST];

/* struct ended - a disk's requests whose step has ended */
struct ended {
	struct disk_request *first;
	struct disk_request **last;
};

static struct ended all_ended[64];
static unsigned int nr_ended;

static void end_as(struct disk *disk, struct disk_request *request, int64_t result)
{
	struct ended *ended = disk->engine_data;
	uint64_t one = 1;

	request->step.result = result;
	request->next = NULL;
	*ended->last = request;
	ended->last = &request->next;
	assert(write(disk->event.fd, &one, sizeof(one)) == sizeof(one));
}

/* No more than @most bytes of what is asked for. */
static int64_t move(int fd, const struct disk_step *step, uint64_t most)
{
	struct iovec iov[DISK_SEGMENTS];
	unsigned int i;
	int64_t ret;

	for (i = 0; i < step->nr_iov && most; i++) {
		iov[i] = step->iov[i];
		if (iov[i].iov_len > most)
			iov[i].iov_len = most;
		most -= iov[i].iov_len;
	}
	ret = step->what == STEP_READ ? preadv(fd, iov, i, step->offset) :
	      pwritev(fd, iov, i, step->offset);
	return ret < 0 ? -errno : ret;
}

static int64_t carry_out(int fd, const struct disk_step *step, uint64_t most)
{
	int ret;

	switch (step->what) {
	case STEP_READ:
	case STEP_WRITE:
		return move(fd, step, most);
	case STEP_SYNC:
		return 0;
	default:
		ret = fallocate(fd, step->mode, step->offset, step->size);
		return ret ? -errno : 0;
	}
}

static void put(struct disk *disk, struct disk_request *request)
{
	if (at_once) {
		end_as(disk, request, carry_out(disk->fd, &request->step, UINT64_MAX));
		return;
	}
	assert(nr < MOST);
	held[nr].disk = disk;
	held[nr++].request = request;
}

static void go(struct disk *disk)
{
	(void)disk;
}

static struct disk_request *take(struct disk *disk)
{
	struct ended *ended = disk->engine_data;
	struct disk_request *request = ended->first;
	uint64_t told;

	if (!request)
		return read(disk->event.fd, &told, sizeof(told)) < 0 ? NULL : ended->first;
	ended->first = request->next;
	if (!ended->first)
		ended->last = &ended->first;
	return request;
}

static void close_held(struct disk *disk)
{
	close(disk->event.fd);
}

int __wrap_disk_ring_open(struct disk *disk)
{
	static const struct disk_engine engine = {
		.name = "held", .put = put, .go = go, .take = take, .close = close_held,
	};
	struct ended *ended = &all_ended[nr_ended++ % 64];

	if (!used)
		return __real_disk_ring_open(disk);
	ended->first = NULL;
	ended->last = &ended->first;
	disk->engine = &engine;
	disk->engine_data = ended;
	disk->event.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert(disk->event.fd >= 0);
	return 0;
}

void held_use(bool on)
{
	used = on;
}

void held_at_once(bool on)
{
	at_once = on;
}

unsigned int held_count(void)
{
	return nr;
}

const struct disk_step *held_step(unsigned int nth)
{
	assert(nth < nr);
	return &held[nth].request->step;
}

void held_end(unsigned int nth, int64_t most)
{
	struct disk *disk;
	struct disk_request *request;

	assert(nth < nr);
	disk = held[nth].disk;
	request = held[nth].request;
	for (nr--; nth < nr; nth++)
		held[nth] = held[nth + 1];
	end_as(disk, request, most < 0 ? most : carry_out(disk->fd, &request->step, most));
}

void held_end_all(void)
{
	while (nr)
		held_end(0, INT64_MAX);
}

void held_forget(void)
{
	nr = 0;
	at_once = false;
}
