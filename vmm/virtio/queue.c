// SPDX-License-Identifier: MIT
/*
 * After the Virtual I/O Device specification 1.2, 2.7. The driver is not trusted: it may
 * change descriptors and indexes at any time, so that each is read once, checked, and
 * used from the copy.
 */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "machine/machine.h"
#include "virtio/queue.h"

#define MOST_BYTES	(1ULL << 32)

/*
 * Memory at a guest address, for use by the host. In a guest whose memory is private, this shares
 * it for good. NULL if there is no memory.
 */
static void *memory_at(const struct virtq *queue, uint64_t gpa, uint64_t size)
{
	if (machine_share(queue->machine, gpa, size))
		return NULL;
	return machine_shared(queue->machine, gpa, size);
}

static uint64_t avail_size(const struct virtq *queue)
{
	return sizeof(struct vring_avail) + (queue->now.size + 1) * sizeof(uint16_t);
}

static uint64_t used_size(const struct virtq *queue)
{
	return sizeof(struct vring_used) + sizeof(uint16_t) +
	       queue->now.size * sizeof(struct vring_used_elem);
}

static bool makes_sense(const struct virtq *queue)
{
	const struct virtq_state *now = &queue->now;

	return now->size && now->size <= VIRTQ_SIZE && !(now->size & (now->size - 1)) &&
	       !(now->desc % VRING_DESC_ALIGN_SIZE) &&
	       !(now->avail % VRING_AVAIL_ALIGN_SIZE) &&
	       !(now->used % VRING_USED_ALIGN_SIZE);
}

/* Look these up once: a queue's addresses do not change while it is served. */
static bool find_memory(struct virtq *queue)
{
	queue->desc = memory_at(queue, queue->now.desc,
				queue->now.size * sizeof(struct vring_desc));
	queue->avail = memory_at(queue, queue->now.avail, avail_size(queue));
	queue->used = memory_at(queue, queue->now.used, used_size(queue));
	return queue->desc && queue->avail && queue->used;
}

void virtq_start(struct virtq *queue, struct machine *machine, bool event_idx)
{
	queue->machine = machine;
	queue->event_idx = event_idx;
	queue->told_valid = false;
	queue->broken = !makes_sense(queue) || !find_memory(queue);
}

void virtq_recover(struct virtq *queue)
{
	if (queue->broken)
		return;
	queue->now.next_used = __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE);
	queue->now.next_avail = queue->now.next_used;
}

/* ---- Requests ---- */

/* Add a descriptor's buffer. */
static int add(struct virtq *queue, struct virtq_chain *chain, const struct vring_desc *desc)
{
	bool in = desc->flags & VRING_DESC_F_WRITE;
	uint64_t *size = in ? &chain->in_size : &chain->out_size;
	struct iovec *iov = &chain->iov[chain->nr_out + chain->nr_in];

	if (!desc->len)
		return 0;
	if (chain->nr_out + chain->nr_in == VIRTQ_SEGMENTS || (!in && chain->nr_in) ||
	    *size + desc->len > MOST_BYTES)
		return -EPROTO;
	iov->iov_base = memory_at(queue, desc->addr, desc->len);
	iov->iov_len = desc->len;
	if (!iov->iov_base)
		return -EPROTO;
	*size += desc->len;
	if (in)
		chain->nr_in++;
	else
		chain->nr_out++;
	return 0;
}

/* Follow the chain in a table of @size descriptors, for at most that many links. */
static int follow(struct virtq *queue, struct virtq_chain *chain,
		  const struct vring_desc *table, uint32_t size, uint32_t at, bool indirect)
{
	uint32_t links;

	for (links = 0; links < size; links++) {
		struct vring_desc desc;
		int ret;

		if (at >= size)
			return -EPROTO;
		memcpy(&desc, &table[at], sizeof(desc));
		/* Use the copy from here on: the compiler must not read the original again. */
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			uint32_t inner = desc.len / sizeof(desc);

			if (indirect || desc.flags & VRING_DESC_F_NEXT ||
			    desc.len % sizeof(desc) || !inner || inner > VIRTQ_SEGMENTS)
				return -EPROTO;
			table = memory_at(queue, desc.addr, desc.len);
			return table ? follow(queue, chain, table, inner, 0, true) : -EPROTO;
		}
		ret = add(queue, chain, &desc);
		if (ret || !(desc.flags & VRING_DESC_F_NEXT))
			return ret;
		at = desc.next;
	}
	return -EPROTO;
}

static uint16_t avail_index(const struct virtq *queue)
{
	return __atomic_load_n(&queue->avail->idx, __ATOMIC_ACQUIRE);
}

int virtq_chain_at(struct virtq *queue, uint16_t head, struct virtq_chain *chain)
{
	int ret;

	chain->queue = queue;
	chain->head = head;
	chain->nr_out = 0;
	chain->nr_in = 0;
	chain->out_size = 0;
	chain->in_size = 0;
	ret = queue->broken ? -EPROTO :
	      follow(queue, chain, queue->desc, queue->now.size, head, false);
	if (ret)
		queue->broken = true;
	return ret;
}

int virtq_pop(struct virtq *queue, struct virtq_chain *chain)
{
	uint16_t waiting, head;
	int ret;

	if (queue->broken)
		return -EPROTO;
	waiting = avail_index(queue) - queue->now.next_avail;
	if (!waiting)
		return 0;
	if (waiting > queue->now.size) {
		queue->broken = true;
		return -EPROTO;
	}
	head = __atomic_load_n(&queue->avail->ring[queue->now.next_avail % queue->now.size],
			       __ATOMIC_RELAXED);
	ret = virtq_chain_at(queue, head, chain);
	if (ret)
		return ret;
	queue->now.next_avail++;
	return 1;
}

void virtq_unpop(struct virtq *queue)
{
	queue->now.next_avail--;
}

void virtq_push_all(struct virtq *queue, const struct virtq_done *done, uint16_t nr)
{
	struct vring_used *used = queue->used;
	uint16_t i;

	for (i = 0; i < nr; i++) {
		uint16_t at = (uint16_t)(queue->now.next_used + i) % queue->now.size;

		used->ring[at].id = done[i].head;
		used->ring[at].len = done[i].written;
	}
	queue->now.next_used += nr;
	__atomic_store_n(&used->idx, queue->now.next_used, __ATOMIC_RELEASE);
}

void virtq_push(struct virtq *queue, uint16_t head, uint32_t written)
{
	const struct virtq_done done = { .head = head, .written = written };

	virtq_push_all(queue, &done, 1);
}

/* ---- Doorbells and interrupts ---- */

/* used_event, after the available ring: the entry of the used ring that the driver waits for. */
static uint16_t used_event(const struct virtq *queue)
{
	return __atomic_load_n(&queue->avail->ring[queue->now.size], __ATOMIC_RELAXED);
}

bool virtq_must_tell(struct virtq *queue)
{
	uint16_t told = queue->told;
	bool valid = queue->told_valid;

	/* Pairs with the driver, which sets used_event and then looks for used entries. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	queue->told = queue->now.next_used;
	queue->told_valid = true;
	if (!queue->event_idx)
		return !(__atomic_load_n(&queue->avail->flags, __ATOMIC_RELAXED) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	return !valid || vring_need_event(used_event(queue), queue->now.next_used, told);
}

static void ask_for_doorbells(struct virtq *queue, bool on)
{
	struct vring_used *used = queue->used;

	if (!queue->event_idx)
		__atomic_store_n(&used->flags, on ? 0 : VRING_USED_F_NO_NOTIFY,
				 __ATOMIC_RELAXED);
	else if (on)
		__atomic_store_n((uint16_t *)&used->ring[queue->now.size],
				 queue->now.next_avail, __ATOMIC_RELAXED);
}

void virtq_disarm(struct virtq *queue)
{
	if (!queue->broken)
		ask_for_doorbells(queue, false);
}

bool virtq_arm(struct virtq *queue)
{
	if (queue->broken)
		return false;
	ask_for_doorbells(queue, true);
	/* Pairs with the driver, which adds a request and then checks whether to ring. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return avail_index(queue) != queue->now.next_avail;
}

/* ---- Content ---- */

static uint64_t copy(const struct iovec *iov, uint32_t nr, uint64_t offset, char *buffer,
		     uint64_t size, bool to_guest)
{
	uint64_t done = 0;

	for (; nr && done < size; nr--, iov++) {
		uint64_t part;

		if (offset >= iov->iov_len) {
			offset -= iov->iov_len;
			continue;
		}
		part = iov->iov_len - offset;
		if (part > size - done)
			part = size - done;
		if (to_guest)
			memcpy((char *)iov->iov_base + offset, buffer + done, part);
		else
			memcpy(buffer + done, (char *)iov->iov_base + offset, part);
		done += part;
		offset = 0;
	}
	return done;
}

uint64_t virtq_read(const struct virtq_chain *chain, uint64_t offset, void *to,
		    uint64_t size)
{
	return copy(chain->iov, chain->nr_out, offset, to, size, false);
}

uint64_t virtq_write(const struct virtq_chain *chain, uint64_t offset, const void *from,
		     uint64_t size)
{
	return copy(chain->iov + chain->nr_out, chain->nr_in, offset, (char *)from, size, true);
}
