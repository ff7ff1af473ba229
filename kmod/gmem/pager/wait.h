/* SPDX-License-Identifier: GPL-2.0-only */
/* Waiting for a page that a pager owes: who waits, by page, and the end of waits. */
#ifndef __KVM_GMEM_PAGER_WAIT_H
#define __KVM_GMEM_PAGER_WAIT_H

#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>

struct gmem_inode;
struct gmem_pager;
struct gmem_ring;
struct vm_fault;

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
 * @helpers: those whose task can be asked to carry out answers
 * @asyncs: those of guests' tasks, which have no task here
 * @seq: waits that there ever were
 * @nr: waits of each kind
 */
struct gmem_waits {
	spinlock_t lock; /* see above */
	struct rb_root root;
	struct list_head helpers;
	struct list_head asyncs;
	u64 seq;
	unsigned int nr[GMEM_WAIT_KINDS];
};

/**
 * struct gmem_wait - somebody waits for a page
 * @kvm: the VM, or NULL: a host fault; constant, as all up to @seq
 * @vcpu: the vCPU whose mutex the task has, if it is in an access of KVM's own
 * @task: the task that sleeps; NULL: a guest's task does
 * @gi: the inode, which has a pager
 * @index: page offset
 * @rounds: gmem_pager.rounds, before the pager was asked
 * @ring: the pager's ring when the wait began, with a reference, or NULL
 * @kind: in which way
 * @seq: counts the inode's waits
 * @node: in gmem_waits.root until it is woken or given up
 * @helper: in gmem_waits.helpers or gmem_waits.asyncs, as long as @node is in the tree
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
	struct list_head helper;
	struct list_head entry;
	bool woken;
};

/* wait.c */
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
bool gmem_may_wait(void);
void gmem_wait_sleep(struct gmem_wait *wait, unsigned int state, long timeout,
		     bool (*stop)(void *arg), void *arg);
bool gmem_slot_serves(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn, bool private);

/* wait_vcpu.c */
void gmem_wait_help_ring(struct kvm_vcpu *vcpu, const struct gmem_wait *wait);

/* vcpu_block.c */
bool gmem_vcpu_has_event(struct kvm_vcpu *vcpu);
bool gmem_vcpu_block(struct kvm_vcpu *vcpu);
void gmem_vcpu_unblock(struct kvm_vcpu *vcpu, bool hv_timer);

/* async.c */
bool gmem_async_begin(struct kvm_vcpu *vcpu, gfn_t gfn, const struct gmem_wait *waited);
void gmem_async_complete(struct gmem_wait *wait);

/* host_fault.c */
vm_fault_t gmem_wait_host_fault(struct gmem_inode *gi, struct vm_fault *vmf);

#endif /* __KVM_GMEM_PAGER_WAIT_H */
