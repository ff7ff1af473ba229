/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A pager's ring: events and answers in memory that pager and kernel share.
 */
#ifndef __KVM_GMEM_RING_H
#define __KVM_GMEM_RING_H

#include <linux/types.h>

struct gmem_pager;
struct gmem_ring;
struct vm_area_struct;

/* ring.c */
long gmem_ring_create(struct gmem_pager *pager, void __user *argp);
void gmem_ring_remove(struct gmem_pager *pager);
int gmem_ring_mmap(struct gmem_pager *pager, struct vm_area_struct *vma);
void gmem_ring_put_events(struct gmem_pager *pager);
bool gmem_ring_has_events(struct gmem_pager *pager);
long gmem_ring_enter(struct gmem_pager *pager);

struct gmem_ring *gmem_ring_get(struct gmem_pager *pager);
void gmem_ring_put(struct gmem_ring *ring);
u64 gmem_ring_poll_ns(const struct gmem_ring *ring);

/* Is the caller to stop carrying out answers? */
typedef bool (*gmem_ring_stop_fn)(void *arg);

bool gmem_ring_has_work(struct gmem_ring *ring);
void gmem_ring_help(struct gmem_ring *ring, gmem_ring_stop_fn stop, void *arg);
void gmem_ring_pass_on(struct gmem_ring *ring);
void gmem_ring_sleep(struct gmem_ring *ring);
void gmem_ring_wake(struct gmem_ring *ring);

#endif /* __KVM_GMEM_RING_H */
