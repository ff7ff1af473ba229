/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pager: a process that serves an inode's missing pages.
 *
 * Words
 *
 *   missing	a page without content: see gmem_folio_has_content()
 *   owed	a page offset that the pager has undertaken to serve, while its
 *		page is missing. What is not owed comes as zeroes.
 *   failed	one of which the pager said that it can't be served
 *   asked	one that somebody waits for: there is an event
 *
 * Files
 *
 *   owed.c		what is owed, and the end of waiting
 *   detach.c		owing nothing any more
 *   events.c		what the pager is asked for
 *   file.c		the pager's file: read, poll, ioctls
 *   answer.c		carrying out an answer
 *   ring.c		events and answers in memory that both see
 *   ring_answers.c	carrying out those answers
 *   wait.c		who waits, by page, and the end of waits
 *   wait_vcpu.c	a vCPU waits
 *   vcpu_block.c	... and sleeps meanwhile
 *   host_fault.c	a host fault waits
 *   async.c		waiting while the guest runs another task
 *
 * KVM's own accesses wait in access/wait.c.
 *
 * Whether a page is owed matters only while it is missing: a page that somebody
 * populated by other means is there, owed or not. So populating need not keep
 * account of what is owed, and can't fail for it. A fault that finds a page missing
 * looks whether it is owed, and takes zeroes if not. Where there is a folio already,
 * it looks with that locked, so that it finds content which is on its way in. A hole
 * takes pages from what is owed.
 */
#ifndef __KVM_GMEM_PAGER_OWED_H
#define __KVM_GMEM_PAGER_OWED_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/wait.h>

#include "../../attrs/ranges.h"
#include "wait.h"

struct gmem_inode;
struct gmem_ring;

/* Values of gmem_pager.owed. */
enum { GMEM_OWED = 1, GMEM_FAILED = 2 };

/* In gmem_pager.flags, beside those of the ABI: there is a file. */
#define GMEM_PAGER_OPEN		BIT_ULL(63)

/**
 * struct gmem_pager - what an inode and its pager keep of each other
 * @gi: the inode; constant
 * @lock: innermost of sleeping locks; protects all that follows. Nothing is allocated under
 *	  it: others must not wait for the memory of one of them
 * @owed: GMEM_OWED or GMEM_FAILED by page offsets; read under RCU, by faults.
 *	  Changes with invalidate_lock held too: for writing; or for reading, with
 *	  @failing, to GMEM_FAILED
 * @unread: struct gmem_pager_event.entry, oldest first
 * @unanswered: those that the pager has read
 * @asked: struct gmem_pager_event.node, the faults among them by page offset
 * @removed: likewise the removals, none of which was read
 * @nr_asked: faults in @asked
 * @nr_removed: removals in @removed
 * @crowded: a fault had to wait without an event
 * @rounds: how often there has been room again, for those that had; read without the lock
 * @failing: serializes changes of @owed with invalidate_lock held for reading
 * @flags: KVM_GMEM_PAGER_*, of the last file, and GMEM_PAGER_OPEN; read without the lock
 * @ring: of the file, or NULL; read under RCU too
 * @readers: wait for events
 * @waits: wait for pages
 *
 * Lives as long as the inode: events outlive the process that did not answer.
 */
struct gmem_pager {
	struct gmem_inode *gi;
	struct mutex lock; /* see above */
	struct gmem_ranges *owed;
	struct list_head unread;
	struct list_head unanswered;
	struct rb_root asked;
	struct rb_root removed;
	unsigned int nr_asked;
	unsigned int nr_removed;
	bool crowded;
	unsigned int rounds;
	struct mutex failing; /* see above */
	u64 flags;
	struct gmem_ring __rcu *ring;
	wait_queue_head_t readers;
	struct gmem_waits waits;
};

/* owed.c */
void gmem_pager_free(struct gmem_inode *gi);
struct gmem_pager *gmem_pager_attach(struct gmem_inode *gi, pgoff_t start, pgoff_t nr, u64 flags);
void gmem_pager_close(struct gmem_pager *pager);
int gmem_pager_missing(struct gmem_inode *gi, pgoff_t index);
bool gmem_pager_owes(struct gmem_inode *gi, pgoff_t start, pgoff_t nr);
bool gmem_pager_waits(struct gmem_inode *gi, pgoff_t index);
unsigned int gmem_pager_rounds(struct gmem_inode *gi);
int gmem_pager_ask(struct gmem_inode *gi, pgoff_t index, u32 vm, u32 flags);
void gmem_pager_touched(struct gmem_inode *gi, pgoff_t index);
void gmem_pager_resolved(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_pager_wake(struct gmem_inode *gi);
void gmem_pager_wake_range(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
			   const struct kvm *kvm);
int gmem_pager_fail(struct gmem_pager *pager, pgoff_t start, pgoff_t nr, pgoff_t *done);
int gmem_pager_remove(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
int gmem_pager_set(struct gmem_pager *pager, pgoff_t first, pgoff_t last, unsigned long value);

/* detach.c */
int gmem_pager_detach(struct gmem_pager *pager, bool force, unsigned long *missing);

#endif /* __KVM_GMEM_PAGER_OWED_H */
