/* SPDX-License-Identifier: MIT */
/*
 * Reading one file by an io_uring, several reads at once. The kernel itself ensures that the ring
 * does nothing else: a seccomp filter does not see a ring's requests.
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
 * @put: reads that the kernel has not been told about yet
 * @told: reads that it has been told about, and that were not taken
 * @refused: how often in a row it had no memory for any of them
 * @open: the ring exists
 */
struct image_ring {
	struct io_uring ring;
	unsigned int put;
	unsigned int told;
	unsigned int refused;
	bool open;
};

/*
 * Make a ring for up to @entries reads from @fd into @memory. From then on it can do nothing but
 * these reads, for any process that has it. Returns 0, or -errno with *why.
 */
int image_ring_open(struct image_ring *ring, unsigned int entries, int fd,
		    void *memory, size_t size, const char **why);

/* The descriptor that polls POLLIN when a read has ended; -1 without a ring. */
int image_ring_fd(const struct image_ring *ring);

/* Read @size bytes at @offset to @buffer. @number: distinguishes it from other reads. */
void image_ring_put(struct image_ring *ring, void *buffer, uint32_t size,
		    uint64_t offset, uint64_t number);

/*
 * Tell the kernel about the reads that were put; @wait: wait until one has ended, or there is a
 * reason to look again. If the kernel has no memory for them, they stay put for a later call. If no
 * read is under way whose end would say when to call again, this function waits a little itself.
 * Returns 0 or -errno: -EAGAIN after some 20 s of that.
 */
int image_ring_enter(struct image_ring *ring, bool wait);

/* True: the read of that number has ended, with so many bytes or -errno. */
bool image_ring_take(struct image_ring *ring, uint64_t *number, int *result);

/* Has one ended? */
bool image_ring_has_more(const struct image_ring *ring);

void image_ring_close(struct image_ring *ring);

#endif /* VMM_IMAGE_RING_H */
