/* SPDX-License-Identifier: MIT */
/* A virtqueue, as its device sees it: split ring, with indirect descriptors. */
#ifndef VMM_VIRTIO_QUEUE_H
#define VMM_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define VIRTQ_SIZE	256U	/* descriptors, at most */
#define VIRTQ_SEGMENTS	256U	/* of a chain, at most */

struct machine;
struct vring_avail;
struct vring_desc;
struct vring_used;

/*
 * struct virtq_state - all state of a queue; a snapshot carries it unchanged
 * @desc, @avail, @used: guest physical addresses, fixed once @enabled
 * @size: a power of two, at most VIRTQ_SIZE
 * @enabled: the driver has set it up
 * @vector: its interrupt, or 0xffff
 * @next_avail: the next entry of the available ring that the device looks at
 * @next_used: the next entry of the used ring that the device writes
 */
struct virtq_state {
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
	uint16_t size;
	uint16_t enabled;
	uint16_t vector;
	uint16_t next_avail;
	uint16_t next_used;
	uint16_t reserved[3];
};

/*
 * struct virtq - a queue in use. It belongs to the thread that serves the device.
 * @now: its state
 * @machine: whose memory it is in
 * @event_idx: the driver has taken VIRTIO_F_EVENT_IDX
 * @told: @now.next_used when the driver was last told, if @told_valid
 * @desc, @avail, @used: its memory, once it is served and not @broken from the start
 * @broken: the driver has violated the specification: the queue is not served any more
 */
struct virtq {
	struct virtq_state now;
	struct machine *machine;
	bool event_idx;
	bool told_valid;
	uint16_t told;
	const struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	bool broken;
};

/*
 * struct virtq_chain - a request of the driver: buffers to read, followed by buffers to write
 * @queue: where it was taken from
 * @head: its number there
 * @nr_out, @nr_in: how many of @iov are to be read, and how many, after these, to be written
 * @out_size, @in_size: their bytes, at most 4 GiB each
 */
struct virtq_chain {
	struct virtq *queue;
	uint16_t head;
	uint16_t nr_out;
	uint16_t nr_in;
	uint64_t out_size;
	uint64_t in_size;
	struct iovec iov[VIRTQ_SEGMENTS];
};

/* Begin to serve a queue that is enabled. Sets @broken if its state is invalid. */
void virtq_start(struct virtq *queue, struct machine *machine, bool event_idx);

/*
 * Restore the position of a queue whose process died, from the used ring. Requests that were taken
 * but are not there are taken again, unless the caller knows better.
 */
void virtq_recover(struct virtq *queue);

/*
 * Take the next request. Returns 1; 0: there is none; -EPROTO: the queue is broken, and
 * the device needs a reset. Guest memory is never read twice.
 */
int virtq_pop(struct virtq *queue, struct virtq_chain *chain);

/* Get a request that was taken before, by its head. Returns 0 or -EPROTO, likewise. */
int virtq_chain_at(struct virtq *queue, uint16_t head, struct virtq_chain *chain);

/* Put the last request back: virtq_pop() will return it again. */
void virtq_unpop(struct virtq *queue);

/* A request is done: so many bytes of its buffers were written. */
void virtq_push(struct virtq *queue, uint16_t head, uint32_t written);

/* struct virtq_done - a request, and how many bytes of its buffers were written */
struct virtq_done {
	uint16_t head;
	uint32_t written;
};

/* Several requests are done, at most the queue's size; the driver sees all of them or none. */
void virtq_push_all(struct virtq *queue, const struct virtq_done *done, uint16_t nr);

/* Must the driver be told now about pushed requests? */
bool virtq_must_tell(struct virtq *queue);

/*
 * virtq_disarm() asks the driver for no more doorbells; virtq_arm() asks for them
 * again, and returns whether a request has come meanwhile.
 */
void virtq_disarm(struct virtq *queue);
bool virtq_arm(struct virtq *queue);

/* Copy between a chain and a buffer, from @offset on. Returns how many bytes. */
uint64_t virtq_read(const struct virtq_chain *chain, uint64_t offset, void *to,
		    uint64_t size);
uint64_t virtq_write(const struct virtq_chain *chain, uint64_t offset, const void *from,
		     uint64_t size);

#endif /* VMM_VIRTIO_QUEUE_H */
