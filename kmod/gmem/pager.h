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
 *   pager.c		what is owed, and the end of waiting
 *   events.c		what the pager is asked for
 *   pager_file.c	the pager's file: read, poll, ioctls
 *   ring.c		events and answers in memory that both see
 *   ring_answers.c	carrying out those answers
 *   waits.c		who waits, by page, and the end of waits
 *   wait.c		waiting: vCPUs, KVM's own accesses
 *   vcpu_block.c	a vCPU that sleeps while it waits
 *   host_fault.c	waiting: host faults
 *   async.c		waiting while the guest runs another task
 *   present.c		which pages there are
 *
 * Whether a page is owed matters only while it is missing: a page that somebody
 * populated by other means is there, owed or not. So populating need not keep
 * account of what is owed, and can't fail for it. A fault that finds a page missing
 * looks whether it is owed, and takes zeroes if not. Where there is a folio already,
 * it looks with that locked, so that it finds content which is on its way in. A hole
 * takes pages from what is owed.
 */
#ifndef __KVM_GMEM_PAGER_H
#define __KVM_GMEM_PAGER_H

#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/wait.h>

#include "../attrs/ranges.h"

struct gmem_inode;
struct gmem_ring;
struct gmem_view;
struct seq_file;
struct kvm_gmem_answer;
struct kvm_gmem_event;
struct vm_fault;

/* Values of gmem_pager.owed. */
enum { GMEM_OWED = 1, GMEM_FAILED = 2 };

/* In gmem_pager.flags, beside those of the ABI: there is a file. */
#define GMEM_PAGER_OPEN		BIT_ULL(63)

/**
 * enum gmem_wait_kind - in which way somebody waits for a page
 * @GMEM_WAIT_GUEST: a vCPU whose guest needs it, between two entries to the guest
 * @GMEM_WAIT_ASYNC: one of a guest's tasks, while the vCPU runs another
 * @GMEM_WAIT_OWN: an access of KVM's own, without kvm->srcu
 * @GMEM_WAIT_HELD: one with kvm->srcu: memslots can't change meanwhile
 * @GMEM_WAIT_IOCTL: an ioctl that has not changed anything yet
 * @GMEM_WAIT_HOST: a host fault
 * @GMEM_WAIT_KINDS: how many there are
 *
 * docs/pager.md and tests/kvm/lifetimes say of each how it ends: a new one has a name
 * in gmem_show_pager_fdinfo(), by which the test finds out.
 */
enum gmem_wait_kind {
	GMEM_WAIT_GUEST,
	GMEM_WAIT_ASYNC,
	GMEM_WAIT_OWN,
	GMEM_WAIT_HELD,
	GMEM_WAIT_IOCTL,
	GMEM_WAIT_HOST,
	GMEM_WAIT_KINDS,
};

/**
 * struct gmem_waits - who waits for an inode's pages
 * @lock: protects all of it; vcpu->async_pf.lock and a ring's lock are taken inside
 * @root: struct gmem_wait.node by page offset
 * @seq: waits that there ever were
 * @nr: waits of each kind
 */
struct gmem_waits {
	spinlock_t lock; /* see above */
	struct rb_root root;
	u64 seq;
	unsigned int nr[GMEM_WAIT_KINDS];
};

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

/**
 * struct gmem_pager_event - something that the pager is to know
 * @entry: in gmem_pager.unread or gmem_pager.unanswered
 * @node: in gmem_pager.asked or gmem_pager.removed
 * @start: first page offset
 * @nr: pages
 * @type: KVM_GMEM_EVENT_*
 * @flags: KVM_GMEM_FAULT_* or KVM_GMEM_REMOVE_*
 * @place: among those that are being read
 * @vm: who asks, as in fdinfo; 0: the host
 * @when: CLOCK_MONOTONIC
 */
struct gmem_pager_event {
	struct list_head entry;
	struct rb_node node;
	pgoff_t start;
	pgoff_t nr;
	u32 type;
	u32 flags;
	u32 place;
	u32 vm;
	u64 when;
};

/**
 * struct gmem_wait - somebody waits for a page
 * @kvm: the VM, or NULL: a host fault; constant, as all up to @seq
 * @vcpu: the vCPU that is loaded, if it is in the midst of an access of KVM's
 * @task: the task that sleeps; NULL: a guest's task does
 * @gi: the inode, which has a pager
 * @index: page offset
 * @rounds: gmem_pager.rounds, before the pager was asked
 * @ring: the pager's ring when the wait began, with a reference, or NULL
 * @kind: in which way
 * @seq: counts the inode's waits
 * @node: in gmem_waits.root until it is woken or given up
 * @entry: in kvm->gmem_waits, where it has @kvm and @task
 * @woken: it is over
 */
struct gmem_wait {
	struct kvm *kvm;
	struct kvm_vcpu *vcpu;
	struct task_struct *task;
	struct gmem_inode *gi;
	pgoff_t index;
	unsigned int rounds;
	struct gmem_ring *ring;
	enum gmem_wait_kind kind;
	u64 seq;
	struct rb_node node;
	struct list_head entry;
	bool woken;
};

/* pager.c */
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
int gmem_pager_fail(struct gmem_pager *pager, pgoff_t start, pgoff_t nr);
int gmem_pager_detach(struct gmem_pager *pager, bool force, unsigned long *missing);
int gmem_pager_remove(struct gmem_inode *gi, pgoff_t start, pgoff_t end);

/* events.c */
void gmem_events_init(struct gmem_pager *pager);
void gmem_events_free(struct gmem_pager *pager);
struct gmem_pager_event *gmem_event_alloc(u32 type, pgoff_t start, pgoff_t nr);
bool gmem_events_ask(struct gmem_pager *pager, pgoff_t index, struct gmem_pager_event *event);
void gmem_events_answered(struct gmem_pager *pager, pgoff_t start, pgoff_t end);
void gmem_events_add_removal(struct gmem_pager *pager, struct gmem_pager_event *event);
void gmem_events_unread(struct gmem_pager *pager);
bool gmem_events_take(struct gmem_pager *pager, struct kvm_gmem_event *out);
unsigned int gmem_events_begin_read(struct gmem_pager *pager, struct list_head *taken,
				    struct kvm_gmem_event *out, unsigned int max);
void gmem_events_end_read(struct gmem_pager *pager, struct list_head *taken, unsigned int read);

/* pager_file.c */
int gmem_pager_check_answer(struct gmem_pager *pager, const struct kvm_gmem_answer *answer);
int gmem_pager_answer_one(struct gmem_pager *pager, struct kvm_gmem_answer *answer,
			  const void *content, bool killable);
long gmem_pager_create(struct gmem_view *view, void __user *argp);

/* waits.c */
void gmem_waits_init(struct gmem_waits *waits);
void gmem_waits_wake(struct gmem_pager *pager, pgoff_t start, pgoff_t end, const struct kvm *kvm);
void gmem_waits_nudge(struct gmem_pager *pager, const struct gmem_ring *ring);
unsigned int gmem_waits_count(struct gmem_pager *pager, enum gmem_wait_kind kind);
void gmem_wait_init(struct gmem_wait *wait, enum gmem_wait_kind kind, struct gmem_inode *gi,
		    pgoff_t index);
void gmem_wait_begin_in_vm(struct gmem_wait *wait);
void gmem_wait_end_in_vm(struct gmem_wait *wait);
void gmem_wait_begin(struct gmem_wait *wait);
bool gmem_wait_give_up(struct gmem_wait *wait);
void gmem_wait_end(struct gmem_wait *wait);
bool gmem_wait_is_over(const struct gmem_wait *wait);

/* wait.c */
bool gmem_may_wait(void);
void gmem_wait_help_ring(struct kvm_vcpu *vcpu, const struct gmem_wait *wait);
void gmem_wait_sleep(struct gmem_wait *wait, unsigned int state, long timeout,
		     bool (*stop)(void *arg), void *arg);
int gmem_get_pfn_wait(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn, kvm_pfn_t *pfn);
int gmem_get_pfn_or_wait(struct kvm *kvm, struct kvm_memory_slot **slot, gfn_t gfn,
			 kvm_pfn_t *pfn);

/* host_fault.c */
vm_fault_t gmem_wait_host_fault(struct gmem_inode *gi, struct vm_fault *vmf);

/* vcpu_block.c */
bool gmem_vcpu_has_event(struct kvm_vcpu *vcpu);
bool gmem_vcpu_block(struct kvm_vcpu *vcpu);
void gmem_vcpu_unblock(struct kvm_vcpu *vcpu, bool hv_timer);

/* async.c */
bool gmem_async_begin(struct kvm_vcpu *vcpu, gfn_t gfn, const struct gmem_wait *waited);
void gmem_async_complete(struct gmem_wait *wait);

/* fdinfo.c */
void gmem_show_pager_fdinfo(struct seq_file *m, struct file *file);

/* present.c */
long gmem_view_present(struct gmem_view *view, void __user *argp);
long gmem_present(struct gmem_inode *gi, void __user *argp);

#endif /* __KVM_GMEM_PAGER_H */
