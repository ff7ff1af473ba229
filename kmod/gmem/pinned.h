/* SPDX-License-Identifier: GPL-2.0-only */
/* Taking pages from the host's userspace, some of which it may hold on to. */
#ifndef __KVM_GMEM_PINNED_H
#define __KVM_GMEM_PINNED_H

#include <linux/types.h>

struct folio;
struct gmem_inode;

/**
 * struct gmem_pinned - a page that somebody has a reference to
 * @folio: with a reference of ours, from gmem_unmap_users() to gmem_pinned_wait()
 * @index: its first page in the range that was asked for
 * @deadline: in jiffies, when the call that waits gives up
 */
struct gmem_pinned {
	struct folio *folio;
	pgoff_t index;
	unsigned long deadline;
};

void gmem_pinned_init(struct gmem_pinned *pinned);
int gmem_pinned_wait(struct gmem_pinned *pinned);
int gmem_unmap_users(struct gmem_inode *gi, pgoff_t first, pgoff_t last,
		     struct gmem_pinned *pinned);

#endif /* __KVM_GMEM_PINNED_H */
