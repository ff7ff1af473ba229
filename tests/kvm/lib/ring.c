// SPDX-License-Identifier: GPL-2.0-only
/* A pager's ring, as tests use it: see ring.h. */
#include <sys/mman.h>

#include "claims.h"
#include "paging.h"
#include "ring.h"

int __ring(int pager, uint32_t entries, uint32_t buffers, uint32_t poll_ns,
	   struct kvm_gmem_pager_ring *layout)
{
	*layout = (struct kvm_gmem_pager_ring){
		.entries = entries, .buffers = buffers, .poll_ns = poll_ns,
	};
	return ioctl(pager, KVM_GMEM_PAGER_RING, layout);
}

void ring_open(struct ring *ring, int pager, uint32_t entries, uint32_t buffers,
	       uint32_t poll_ns)
{
	char *at;

	TEST_ASSERT(!__ring(pager, entries, buffers, poll_ns, &ring->layout),
		    "KVM_GMEM_PAGER_RING: errno %d", errno);
	at = mmap(NULL, ring->layout.size, PROT_READ | PROT_WRITE, MAP_SHARED, pager, 0);
	TEST_ASSERT(at != MAP_FAILED, "mmap: errno %d", errno);
	ring->pager = pager;
	ring->head = (void *)at;
	ring->events = (void *)(at + ring->layout.events);
	ring->answers = (void *)(at + ring->layout.answers);
	ring->content = at + ring->layout.content;
}

void ring_close(struct ring *ring)
{
	munmap((void *)ring->head, ring->layout.size);
	close(ring->pager);
}

bool ring_take(struct ring *ring, struct kvm_gmem_event *event)
{
	uint32_t tail = ring->head->event_tail;

	if (__atomic_load_n(&ring->head->event_head, __ATOMIC_ACQUIRE) == tail)
		return false;

	memcpy(event, (void *)&ring->events[tail & (ring->layout.entries - 1)], sizeof(*event));
	__atomic_store_n(&ring->head->event_tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

struct kvm_gmem_event ring_next_event(struct ring *ring)
{
	struct kvm_gmem_event event;

	TEST_ASSERT(has_event(ring->pager, claim_patience() * 1000), "no event");
	TEST_ASSERT(ring_take(ring, &event), "POLLIN, and no event in the ring");
	return event;
}

volatile struct kvm_gmem_answer *ring_put(struct ring *ring, uint32_t op, uint64_t page, uint64_t n,
					  uint32_t buffer)
{
	volatile struct kvm_gmem_answer *answer;
	uint32_t head = ring->head->answer_head;

	answer = &ring->answers[head & (ring->layout.entries - 1)];
	*answer = (struct kvm_gmem_answer){
		.op = op, .offset = page * PAGE_SIZE, .size = n * PAGE_SIZE, .error = -1,
		.from = op == KVM_GMEM_ANSWER_COPY ?
			ring->layout.content + buffer * (uint64_t)PAGE_SIZE : 0,
	};
	__atomic_store_n(&ring->head->answer_head, head + 1, __ATOMIC_RELEASE);
	return answer;
}

void ring_copy(struct ring *ring, uint64_t pattern, uint64_t page)
{
	memcpy(ring->content, content(pattern, page, 1), PAGE_SIZE);
	ring_put(ring, KVM_GMEM_ANSWER_COPY, page, 1, 0);
}

bool ring_enter(struct ring *ring)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!ring->head->wake)
		return false;

	TEST_ASSERT(ioctl(ring->pager, KVM_GMEM_PAGER_ENTER, 0) >= 0, "ENTER: errno %d", errno);
	return true;
}

bool ring_is_done(const struct ring *ring)
{
	return __atomic_load_n(&ring->head->answer_tail, __ATOMIC_ACQUIRE) ==
	       ring->head->answer_head;
}
