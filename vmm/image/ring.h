/* SPDX-License-Identifier: MIT */
/*
 * Reading one file by an io_uring, several reads at once. The kernel itself sees to
 * it that the ring does nothing else: a seccomp filter does not see what is asked
 * for in a ring.
 */
#ifndef VMM_IMAGE_RING_H
#define VMM_IMAGE_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * struct image_ring - a ring that can read one file into one piece of memory
 * @ring: liburing's
 * @put: reads that the kernel has not been told of yet
 * @told: reads that it has been told of, and that were not taken
 * @refused: how often in a row it had no memory to be told of any
 * @open: there is one
 */
struct image_ring {
	struct io_uring ring;
	unsigned int put;
	unsigned int told;
	unsigned int refused;
	bool open;
};

/*
 * Make a ring for up to @entries reads from @fd into @memory. From then on it can do
 * nothing but these, whoever has it. 0 or -errno, with *why.
 */
int image_ring_open(struct image_ring *ring, unsigned int entries, int fd,
		    void *memory, size_t size, const char **why);

/* What poll(2) says POLLIN of when a read has ended; -1 without a ring. */
int image_ring_fd(const struct image_ring *ring);

/* Read @size bytes at @offset to @buffer. @number: what tells it from the others. */
void image_ring_put(struct image_ring *ring, void *buffer, uint32_t size,
		    uint64_t offset, uint64_t number);

/*
 * Tell the kernel of what was put; @wait: until one has ended, or there is a reason to
 * look again. Where the kernel has no memory for it, what was put stays so for another
 * call, which is not at once: this one waits a little itself if no read is under way
 * whose end would say when. 0 or -errno: -EAGAIN after some 20 s of that.
 */
int image_ring_enter(struct image_ring *ring, bool wait);

/* True: the read of that number has ended, with so many bytes or -errno. */
bool image_ring_take(struct image_ring *ring, uint64_t *number, int *result);

/* Has one ended? */
bool image_ring_has_more(const struct image_ring *ring);

void image_ring_close(struct image_ring *ring);

#endif /* VMM_IMAGE_RING_H */
