// SPDX-License-Identifier: GPL-2.0-only
/*
 * A lock that is held until it is let go: see hold.h.
 */
#include "hold.h"

void hold_init(struct hold *h)
{
	stall_init(&h->stall);
}

void hold(struct hold *h, int fd, unsigned long request, void *arg)
{
	ask(&h->asker, fd, request, (unsigned long)arg);
	stall_wait(&h->stall);
}

void hold_slots(struct hold *h, int vm, uint32_t slot)
{
	hold_init(h);
	h->log = (struct kvm_dirty_log){ .slot = slot, .dirty_bitmap = h->stall.page };
	hold(h, vm, KVM_GET_DIRTY_LOG, &h->log);
}

long hold_let_go(struct hold *h, const void *content, size_t size)
{
	stall_let_go(&h->stall, content, size);
	return asker_answer(&h->asker);
}
