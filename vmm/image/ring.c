// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <sys/uio.h>

#include "image/ring.h"

#define PAUSE		10	/* ms, where there is no memory for a read */
#define PAUSES		2000	/* of these waits in a row: then give up */
#define LENGTH(array)	(sizeof(array) / sizeof((array)[0]))

/* Reads from the registered file into the registered memory; nothing else is allowed. */
static int restrict_ring(struct io_uring *ring)
{
	struct io_uring_restriction allowed[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ_FIXED },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
		  .sqe_flags = IOSQE_FIXED_FILE },
	};

	return io_uring_register_restrictions(ring, allowed, LENGTH(allowed));
}

static int prepare(struct io_uring *ring, int fd, void *memory, size_t size,
		   const char **why)
{
	struct iovec piece = { .iov_base = memory, .iov_len = size };
	int ret;

	*why = "registering the image";
	ret = io_uring_register_files(ring, &fd, 1);
	if (ret)
		return ret;
	*why = "registering memory";
	ret = io_uring_register_buffers(ring, &piece, 1);
	if (ret)
		return ret;
	*why = "restricting it";
	ret = restrict_ring(ring);
	return ret ? ret : io_uring_enable_rings(ring);
}

int image_ring_open(struct image_ring *ring, unsigned int entries, int fd,
		    void *memory, size_t size, const char **why)
{
	int ret;

	*ring = (struct image_ring){ .open = false };
	*why = "making it";
	/* Create it disabled: only a disabled ring can be restricted. Enabling it is final. */
	ret = io_uring_queue_init(entries, &ring->ring, IORING_SETUP_R_DISABLED);
	if (ret)
		return ret;
	ret = prepare(&ring->ring, fd, memory, size, why);
	if (ret)
		io_uring_queue_exit(&ring->ring);
	ring->open = !ret;
	return ret;
}

int image_ring_fd(const struct image_ring *ring)
{
	return ring->open ? ring->ring.ring_fd : -1;
}

void image_ring_put(struct image_ring *ring, void *buffer, uint32_t size,
		    uint64_t offset, uint64_t number)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);

	io_uring_prep_read_fixed(sqe, 0, buffer, size, offset, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, number);
	ring->put++;
}

/*
 * The kernel took none of the reads. A read that ends gives memory back, and wakes those who poll
 * the ring; if none is under way, nothing would wake them.
 */
static int wait_for_memory(struct image_ring *ring, bool wait)
{
	struct io_uring_cqe *cqe;
	int ret;

	if (ring->told) {
		ret = wait ? io_uring_wait_cqe(&ring->ring, &cqe) : 0;
		return ret == -EINTR ? 0 : ret;
	}
	if (++ring->refused > PAUSES)
		return -EAGAIN;
	poll(NULL, 0, PAUSE);
	return 0;
}

int image_ring_enter(struct image_ring *ring, bool wait)
{
	int ret;

	if (!ring->put && !wait)
		return 0;
	ret = io_uring_submit_and_wait(&ring->ring, wait);
	if (ret > 0) {
		ring->put -= ret;
		ring->told += ret;
		ring->refused = 0;
	}
	if (ret == -EAGAIN)
		return wait_for_memory(ring, wait);
	/* Interrupted, or the caller must take ended reads first. */
	return ret == -EINTR || ret == -EBUSY || ret > 0 ? 0 : ret;
}

bool image_ring_take(struct image_ring *ring, uint64_t *number, int *result)
{
	struct io_uring_cqe *cqe;

	if (io_uring_peek_cqe(&ring->ring, &cqe))
		return false;
	*number = io_uring_cqe_get_data64(cqe);
	*result = cqe->res;
	io_uring_cqe_seen(&ring->ring, cqe);
	ring->told--;
	return true;
}

bool image_ring_has_more(const struct image_ring *ring)
{
	return io_uring_cq_ready(&ring->ring);
}

void image_ring_close(struct image_ring *ring)
{
	if (ring->open)
		io_uring_queue_exit(&ring->ring);
	ring->open = false;
}
