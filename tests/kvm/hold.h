/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A lock of a VM that is held until it is let go: an ioctl that copies to or
 * from userspace under it stands still at a page that does not come.
 */
#ifndef GMEM_TESTS_HOLD_H
#define GMEM_TESTS_HOLD_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

#include "asker.h"
#include "stall.h"

/**
 * struct hold - such a lock
 * @stall: where the ioctl stands still
 * @asker: who made it
 * @log: its argument, if it is KVM_GET_DIRTY_LOG
 */
struct hold {
	struct stall stall;
	struct asker asker;
	struct kvm_dirty_log log;
};

/* By an ioctl whose argument is the page, or names it: first the page, then the ioctl. */
void hold_init(struct hold *h);
void hold(struct hold *h, int fd, unsigned long request, void *arg);
/* slots_lock, of a VM that has a dirty log of @slot. */
void hold_slots(struct hold *h, int vm, uint32_t slot);
/* What the ioctl returned, or -errno, having got @content or zeroes to read. */
long hold_let_go(struct hold *h, const void *content, size_t size);

#endif /* GMEM_TESTS_HOLD_H */
