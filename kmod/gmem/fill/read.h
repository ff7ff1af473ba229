/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Content from a process's memory, on its way into an inode.
 *
 *   read.c		reads it, with no lock held
 *   fill.c		puts it into place
 */
#ifndef __KVM_GMEM_FILL_READ_H
#define __KVM_GMEM_FILL_READ_H

#include "../gmem.h"

/* Pages that are read before the locks are taken for them: 128 KiB. */
#define GMEM_FILL_ORDER		5
#define GMEM_FILL_BATCH		BIT(GMEM_FILL_ORDER)

/* How often locks may be taken by others before it goes by single pages, with which it waits. */
#define GMEM_FILL_MISSES	3

/**
 * struct gmem_fill - a call that populates
 * @kvm: the VM in whose name, or NULL: by a handle, which belongs to none
 * @gi: the inode, or NULL where @kvm's memslots tell
 * @next: the next page, a gfn where @gi is NULL, else a page offset
 * @left: pages that are still to come
 * @owed: only pages that a pager owes, by that pager
 * @killable: only a fatal signal interrupts it, and it does without reclaim
 * @reclaim: nothing else has helped to get memory for the last pages
 * @missed: how often the locks were not free since they last were
 * @error: what stopped it, or 0
 * @from: their content, or NULL: zeroes
 * @content: their content where it is the kernel's, else NULL
 * @iter: their content where it is a write's, else NULL
 * @seals: those that forbid it
 * @order: of the largest piece of memory that there may be
 * @pages_until: before this page all goes by single pages
 * @slow: the page whose content was not all there when it was copied without page faults, or
 *	  U64_MAX; it is not before @next
 * @nr: pages from @next on whose content was read, and that are not installed yet
 * @large: it was read as 2 MiB in one piece
 * @huge: then a folio that has it all, or NULL
 * @chunk: or the memory of a chunk, or NULL
 * @folios: else a folio of each
 */
struct gmem_fill {
	struct kvm *kvm;
	struct gmem_inode *gi;
	u64 next;
	u64 left;
	bool owed;
	bool killable;
	bool reclaim;
	unsigned int missed;
	int error;
	void __user *from;
	const void *content;
	struct iov_iter *iter;
	u64 seals;
	unsigned int order;
	u64 pages_until;
	u64 slow;
	unsigned int nr;
	bool large;
	struct folio *huge;
	struct page *chunk;
	struct folio *folios[GMEM_FILL_BATCH];
};

int gmem_fill_read(struct gmem_fill *fill);
void gmem_fill_drop(struct gmem_fill *fill);
struct gmem_inode *gmem_fill_inode(struct gmem_fill *fill, pgoff_t *index, u64 *left);

#endif /* __KVM_GMEM_FILL_READ_H */
