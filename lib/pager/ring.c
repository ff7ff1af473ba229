// SPDX-License-Identifier: MIT
/*
 * The pager's side of a ring. Shared counts are loaded and stored as the ABI says. Our own counts
 * are kept here too, and are only stored into the ring, never loaded.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <gmem.h>

#include "kvm/ioctl.h"

#define ENTRY(ring, count)	((count) & ((ring)->entries - 1))

int gmem_pager_ring_open(int pager, uint32_t entries, uint32_t buffers,
			 uint32_t poll_ns, struct gmem_pager_ring *ring)
{
	struct kvm_gmem_pager_ring layout = {
		.entries = entries, .buffers = buffers, .poll_ns = poll_ns,
	};
	char *at;
	int ret = gmem_ioctl(pager, KVM_GMEM_PAGER_RING, &layout);

	*ring = (struct gmem_pager_ring){ .pager = -1 };
	if (ret)
		return ret;
	at = mmap(NULL, layout.size, PROT_READ | PROT_WRITE, MAP_SHARED, pager,
		  0);
	if (at == MAP_FAILED)
		return -errno;
	*ring = (struct gmem_pager_ring){
		.pager = pager,
		.entries = entries,
		.buffers = buffers,
		.map = (void *)at,
		.map_size = layout.size,
		.events = (void *)(at + layout.events),
		.answers = (void *)(at + layout.answers),
		.content = at + layout.content,
	};
	return 0;
}

void gmem_pager_ring_close(struct gmem_pager_ring *ring)
{
	if (ring->map)
		munmap(ring->map, ring->map_size);
	*ring = (struct gmem_pager_ring){ .pager = -1 };
}

int gmem_pager_ring_next(struct gmem_pager_ring *ring,
			 struct kvm_gmem_event *event)
{
	uint32_t head = __atomic_load_n(&ring->map->event_head,
					__ATOMIC_ACQUIRE);

	if (head == ring->event_tail)
		return 0;
	if (head - ring->event_tail > ring->entries)
		return -EPROTO;
	*event = ring->events[ENTRY(ring, ring->event_tail)];
	ring->event_tail++;
	__atomic_store_n(&ring->map->event_tail, ring->event_tail,
			 __ATOMIC_RELEASE);
	return 1;
}

void *gmem_pager_ring_buffer(const struct gmem_pager_ring *ring, uint32_t first)
{
	return first < ring->buffers ?
	       ring->content + first * GMEM_RING_BUFFER : NULL;
}

int gmem_pager_ring_put(struct gmem_pager_ring *ring,
			const struct kvm_gmem_answer *answer)
{
	struct kvm_gmem_answer *entry;

	/* Answers that are carried out, but not yet taken back, still take room. */
	if (ring->answer_head - ring->answer_seen == ring->entries)
		return -EAGAIN;
	entry = &ring->answers[ENTRY(ring, ring->answer_head)];
	*entry = *answer;
	if (answer->from)
		entry->from = answer->from - (uintptr_t)ring->map;
	ring->answer_head++;
	__atomic_store_n(&ring->map->answer_head, ring->answer_head,
			 __ATOMIC_RELEASE);
	return 0;
}

int gmem_pager_ring_enter(struct gmem_pager_ring *ring, int always)
{
	/* A waiter that sets WAKE after this fence sees the answers. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!always && !__atomic_load_n(&ring->map->wake, __ATOMIC_RELAXED))
		return 0;
	return gmem_ioctl(ring->pager, KVM_GMEM_PAGER_ENTER, NULL);
}

int gmem_pager_ring_done(struct gmem_pager_ring *ring,
			 struct kvm_gmem_answer *answer)
{
	uint32_t tail = __atomic_load_n(&ring->map->answer_tail,
					__ATOMIC_ACQUIRE);

	if (tail == ring->answer_seen)
		return 0;
	if (tail - ring->answer_seen > ring->answer_head - ring->answer_seen)
		return -EPROTO;
	*answer = ring->answers[ENTRY(ring, ring->answer_seen)];
	if (answer->from)
		answer->from += (uintptr_t)ring->map;
	ring->answer_seen++;
	return 1;
}
