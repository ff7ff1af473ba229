// SPDX-License-Identifier: MIT
/*
 * Carries out steps with an io_uring. The ring can do nothing but these steps with this one file,
 * for any process that has it: a seccomp filter does not see a ring's requests.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/say.h"
#include "disk/disk.h"

#define LENGTH(array)	(sizeof(array) / sizeof((array)[0]))
#define PAUSE		10000000	/* ns, where the kernel has no memory for a step */
#define INLINE		(1U << 20)	/* bytes of a batch that this thread may copy itself */

/*
 * struct ring - an engine
 * @put: steps that the kernel has not been told about
 * @copied: bytes of them that are copied when it is told
 * @retry: a timer, for when the kernel had no memory for them
 * @said: the failure was reported
 */
struct ring {
	struct io_uring uring;
	unsigned int put;
	uint64_t copied;
	struct event retry;
	struct disk *disk;
	bool said;
};

/*
 * Allow it to drop the file, for the sake of the file's lock: the ring itself takes a while to end.
 */
static int restrict_ring(struct io_uring *uring)
{
	struct io_uring_restriction allowed[] = {
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .register_op = IORING_UNREGISTER_FILES },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FALLOCATE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
		  .sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
		  .sqe_flags = IOSQE_FIXED_FILE },
	};

	return io_uring_register_restrictions(uring, allowed, LENGTH(allowed));
}

/*
 * The thread that submits a request copies its data from or to the page cache. A guest can
 * ask for its whole memory at once. Beyond a bound the kernel's workers copy, so that the
 * main loop can serve other events meanwhile.
 */
static unsigned int flags_of(struct ring *ring, const struct disk_step *step)
{
	bool moves = step->what == STEP_READ || step->what == STEP_WRITE;

	if (!moves || ring->disk->direct)
		return IOSQE_FIXED_FILE;
	if (step->size > INLINE - ring->copied)
		return IOSQE_FIXED_FILE | IOSQE_ASYNC;
	ring->copied += step->size;
	return IOSQE_FIXED_FILE;
}

static void ring_put(struct disk *disk, struct disk_request *request)
{
	struct ring *ring = disk->engine_data;
	const struct disk_step *step = &request->step;
	/* There is always room: a request has one step at a time. */
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	switch (step->what) {
	case STEP_READ:
		io_uring_prep_readv(sqe, 0, step->iov, step->nr_iov, step->offset);
		break;
	case STEP_WRITE:
		io_uring_prep_writev(sqe, 0, step->iov, step->nr_iov, step->offset);
		break;
	case STEP_SYNC:
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
		break;
	case STEP_ALLOCATE:
		io_uring_prep_fallocate(sqe, 0, step->mode, step->offset, step->size);
		break;
	}
	io_uring_sqe_set_flags(sqe, flags_of(ring, step));
	io_uring_sqe_set_data(sqe, request);
	ring->put++;
}

/* Do not wait: the steps stay put. */
static void try_later(struct ring *ring, int error)
{
	struct itimerspec time = { .it_value.tv_nsec = PAUSE };

	if (error != -EAGAIN && error != -EBUSY && error != -EINTR && !ring->said) {
		say_failed(error, "disk %s: asking the kernel", ring->disk->name);
		ring->said = true;
	}
	timerfd_settime(ring->retry.fd, 0, &time, NULL);
}

static void ring_go(struct disk *disk)
{
	struct ring *ring = disk->engine_data;
	int ret;

	ring->copied = 0;
	while (ring->put) {
		ret = io_uring_submit(&ring->uring);
		if (ret <= 0) {
			try_later(ring, ret ? ret : -EAGAIN);
			break;
		}
		ring->put -= ret;
	}
}

static void retry(struct event *event, uint32_t ready)
{
	struct disk *disk = event->data;
	uint64_t expired;

	(void)ready;
	if (read(event->fd, &expired, sizeof(expired)) == sizeof(expired))
		disk_go(disk);
}

static struct disk_request *ring_take(struct disk *disk)
{
	struct ring *ring = disk->engine_data;
	struct disk_request *request;
	struct io_uring_cqe *cqe;

	if (io_uring_peek_cqe(&ring->uring, &cqe))
		return NULL;
	request = io_uring_cqe_get_data(cqe);
	request->step.result = cqe->res;
	io_uring_cqe_seen(&ring->uring, cqe);
	return request;
}

static void ring_close(struct disk *disk)
{
	struct ring *ring = disk->engine_data;

	events_remove(disk->events, &ring->retry);
	close(ring->retry.fd);
	io_uring_unregister_files(&ring->uring);
	io_uring_queue_exit(&ring->uring);
	free(ring);
	disk->engine_data = NULL;
}

/* Create it disabled: only a disabled ring can be restricted. Enabling it is final. */
static int open_uring(struct io_uring *uring, const struct disk *disk)
{
	const int files[2] = { disk->fd, disk->life };
	int ret = io_uring_queue_init(disk->most, uring, IORING_SETUP_R_DISABLED);

	if (ret)
		return ret;
	/* The kernel drops the second file when the ring's last request has ended. */
	ret = io_uring_register_files(uring, files, disk->life ? 2 : 1);
	if (!ret)
		ret = restrict_ring(uring);
	if (!ret)
		ret = io_uring_enable_rings(uring);
	if (ret)
		io_uring_queue_exit(uring);
	return ret;
}

static int open_retry(struct ring *ring)
{
	int ret;

	ring->retry = (struct event){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.ready = retry, .data = ring->disk,
	};
	if (ring->retry.fd < 0)
		return -errno;
	ret = events_add(ring->disk->events, &ring->retry, EPOLLIN);
	if (ret)
		close(ring->retry.fd);
	return ret;
}

int disk_ring_open(struct disk *disk)
{
	static const struct disk_engine engine = {
		.name = "io_uring", .put = ring_put, .go = ring_go, .take = ring_take,
		.close = ring_close,
	};
	struct ring *ring = calloc(1, sizeof(*ring));
	int ret;

	if (!ring)
		return -ENOMEM;
	ring->disk = disk;
	ret = open_uring(&ring->uring, disk);
	if (ret) {
		free(ring);
		return ret;
	}
	ret = open_retry(ring);
	if (ret) {
		io_uring_queue_exit(&ring->uring);
		free(ring);
		return ret;
	}
	disk->engine = &engine;
	disk->engine_data = ring;
	disk->event.fd = ring->uring.ring_fd;
	return 0;
}
