/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A pager's ring: events and answers in memory that pager and kernel share.
 */
#ifndef __KVM_GMEM_PAGER_RING_H
#define __KVM_GMEM_PAGER_RING_H

#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <linux/kvm_gmem.h>

struct gmem_pager;
struct page;
struct vm_area_struct;

/**
 * struct gmem_ring - memory that a pager and the kernel share
 * @pager: its pager; a reference to that one's inode keeps it
 * @refs: the pager's reference, and those of tasks at work on it
 * @entries: length of @events and of @answers, a power of 2; constant
 * @buffers: pages of @content; constant
 * @poll_ns: how long a vCPU looks for an answer; constant
 * @nr_pages: length of @pages; constant
 * @pages: of all that is shared
 * @shared: the first of them; what follows is in the others
 * @events: written by the kernel
 * @answers: written by the pager, but for how they went
 * @content: written by the pager
 * @event_head: events that were put; protected by pager->lock
 * @answering: held by the task that carries out answers
 * @answer_tail: answers that were carried out; protected by @answering
 * @answer: the next one, as it was when it was begun; likewise
 * @begun: it was; likewise
 * @lock: protects what follows, and shared->wake
 * @sleepers: how many waiters would not see an answer
 * @more: events found no room
 * @rcu: frees it
 */
struct gmem_ring {
	struct gmem_pager *pager;
	refcount_t refs;
	u32 entries;
	u32 buffers;
	u64 poll_ns;
	unsigned long nr_pages;
	struct page **pages;
	struct kvm_gmem_ring *shared;
	struct kvm_gmem_event *events;
	struct kvm_gmem_answer *answers;
	void *content;
	u32 event_head;
	struct mutex answering; /* see above */
	u32 answer_tail;
	struct kvm_gmem_answer answer;
	bool begun;
	spinlock_t lock; /* see above */
	unsigned int sleepers;
	bool more;
	struct rcu_head rcu;
};

/* ring.c */
long gmem_ring_create(struct gmem_pager *pager, void __user *argp);
struct gmem_ring *gmem_ring_remove(struct gmem_pager *pager);
int gmem_ring_mmap(struct gmem_pager *pager, struct vm_area_struct *vma);
void gmem_ring_put_events(struct gmem_pager *pager);
bool gmem_ring_has_events(struct gmem_pager *pager);

struct gmem_ring *gmem_ring_get(struct gmem_pager *pager);
void gmem_ring_put(struct gmem_ring *ring);
u64 gmem_ring_poll_ns(const struct gmem_ring *ring);

void gmem_ring_sleep(struct gmem_ring *ring);
void gmem_ring_wake(struct gmem_ring *ring);

/* ring_answers.c */

/* Is the caller to stop carrying out answers? */
typedef bool (*gmem_ring_stop_fn)(void *arg);

bool gmem_ring_has_work(struct gmem_ring *ring);
void gmem_ring_help(struct gmem_ring *ring, gmem_ring_stop_fn stop, void *arg);
void gmem_ring_pass_on(struct gmem_ring *ring);
long gmem_ring_enter(struct gmem_pager *pager);

#endif /* __KVM_GMEM_PAGER_RING_H */
