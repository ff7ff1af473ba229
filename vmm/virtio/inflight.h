/* SPDX-License-Identifier: MIT */
/*
 * The requests of a queue that were taken and are not done. A successor needs this if it has only
 * the memory of a process that died, and requests can end in any order.
 */
#ifndef VMM_VIRTIO_INFLIGHT_H
#define VMM_VIRTIO_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/queue.h"

/*
 * struct inflight_entry - of a request, by its head
 * @counter: rises from request to request
 * @in_flight: it was taken, and is not done
 */
struct inflight_entry {
	uint64_t counter;
	uint8_t in_flight;
	uint8_t reserved[7];
};

/*
 * struct inflight - a queue's table
 * @counter: of the request that was taken last
 * @used: index of the used ring, before @last was pushed or after
 * @last: head of the request that was pushed last
 */
struct inflight {
	uint64_t counter;
	uint16_t used;
	uint16_t last;
	uint32_t reserved;
	struct inflight_entry entries[VIRTQ_SIZE];
};

/* Nothing is in flight in a queue whose used index is @used. */
void inflight_clear(struct inflight *table, uint16_t used);

/* A request was taken. False: one with this head is in flight already. */
bool inflight_begin(struct inflight *table, uint16_t head);

/* A request is done: tell the driver, and change the table atomically with that. */
void inflight_push(struct inflight *table, struct virtq *queue, uint16_t head,
		   uint32_t written);

/* Forget a request without pushing it. */
void inflight_drop(struct inflight *table, uint16_t head);

/*
 * Get the heads of the requests in flight, in the order in which they were taken, from an untrusted
 * table whose owner may have died at any instant. @used: the used ring's index in the guest's
 * memory. Returns how many, or -EPROTO: the table does not explain that index.
 */
int inflight_recover(struct inflight *table, uint16_t used, uint16_t heads[VIRTQ_SIZE]);

#endif /* VMM_VIRTIO_INFLIGHT_H */
