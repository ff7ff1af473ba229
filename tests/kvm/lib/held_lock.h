/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A lock of a VM that is held until it is let go: an ioctl that copies to or
 * from userspace under it stands still at a page that does not come.
 */
#ifndef GMEM_TESTS_HELD_LOCK_H
#define GMEM_TESTS_HELD_LOCK_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

#include "async_ioctl.h"
#include "blocked_page.h"

/**
 * struct held_lock - such a lock
 * @blocked: where the ioctl stands still
 * @ioctl: that ioctl
 * @log: its argument, if it is KVM_GET_DIRTY_LOG
 */
struct held_lock {
	struct blocked_page blocked;
	struct async_ioctl ioctl;
	struct kvm_dirty_log log;
};

/* By an ioctl whose argument is the page, or names it: first the page, then the ioctl. */
void held_lock_init(struct held_lock *h);
void held_lock_take(struct held_lock *h, int fd, unsigned long request, void *arg);
/* slots_lock, of a VM that has a dirty log of @slot. */
void held_lock_take_slots(struct held_lock *h, int vm, uint32_t slot);
/* What the ioctl returned, or -errno, having got @content or zeroes to read. */
long held_lock_let_go(struct held_lock *h, const void *content, size_t size);

#endif /* GMEM_TESTS_HELD_LOCK_H */
