// SPDX-License-Identifier: GPL-2.0-only
/*
 * A lock that is held until it is let go: see held_lock.h.
 */
#include "held_lock.h"

void held_lock_init(struct held_lock *h)
{
	blocked_page_init(&h->blocked);
}

void held_lock_take(struct held_lock *h, int fd, unsigned long request, void *arg)
{
	async_ioctl_start(&h->ioctl, fd, request, (unsigned long)arg);
	blocked_page_wait(&h->blocked);
}

void held_lock_take_slots(struct held_lock *h, int vm, uint32_t slot)
{
	held_lock_init(h);
	h->log = (struct kvm_dirty_log){ .slot = slot, .dirty_bitmap = h->blocked.page };
	held_lock_take(h, vm, KVM_GET_DIRTY_LOG, &h->log);
}

long held_lock_let_go(struct held_lock *h, const void *content, size_t size)
{
	blocked_page_let_go(&h->blocked, content, size);
	return async_ioctl_result(&h->ioctl);
}
