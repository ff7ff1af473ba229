/* SPDX-License-Identifier: GPL-2.0-only */
/* A pager's ring, as tests use it. */
#ifndef GMEM_TESTS_RING_H
#define GMEM_TESTS_RING_H

#include <linux/kvm_gmem.h>

#include "machine.h"

/**
 * struct ring - see struct kvm_gmem_pager_ring
 * @pager: the pager's fd
 * @layout: as the kernel told
 * @head: the mapping
 * @events: in it
 * @answers: likewise
 * @content: likewise
 */
struct ring {
	int pager;
	struct kvm_gmem_pager_ring layout;
	volatile struct kvm_gmem_ring *head;
	volatile struct kvm_gmem_event *events;
	volatile struct kvm_gmem_answer *answers;
	char *content;
};

/* KVM_GMEM_PAGER_RING: 0, or -1 with errno. */
int __ring(int pager, uint32_t entries, uint32_t buffers, uint32_t poll_ns,
	   struct kvm_gmem_pager_ring *layout);
void ring_open(struct ring *ring, int pager, uint32_t entries, uint32_t buffers,
	       uint32_t poll_ns);
void ring_close(struct ring *ring);

/* Takes an event, if there is one. */
bool ring_take(struct ring *ring, struct kvm_gmem_event *event);

/* As next_event(), from the ring. */
struct kvm_gmem_event ring_next_event(struct ring *ring);

/* Puts an answer and returns its entry; @buffer: of COPY: the first page of content. */
volatile struct kvm_gmem_answer *ring_put(struct ring *ring, uint32_t op, uint64_t page, uint64_t n,
					  uint32_t buffer);

/* Puts pattern @pattern of @page into buffer 0 and an answer with it. */
void ring_copy(struct ring *ring, uint64_t pattern, uint64_t page);

/* KVM_GMEM_PAGER_ENTER, where the kernel asks for it. Returns whether it did. */
bool ring_enter(struct ring *ring);

/* Have all answers been carried out? */
bool ring_is_done(const struct ring *ring);

#endif /* GMEM_TESTS_RING_H */
