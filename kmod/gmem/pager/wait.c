// SPDX-License-Identifier: GPL-2.0-only
/*
 * The waits for a pager, in order of page offsets: how they are found and ended.
 *
 * Each wait stands in its inode's tree from before its last look at whether there
 * is something to wait for. Code that takes that away does so first and then wakes,
 * under the tree's lock, those whom it concerns: by range, and by VM where others keep
 * their reason. So either the wake-up finds the wait, or
 * the wait was put there after it, and its look finds what has changed. These
 * end a wait, and each wakes after its change:
 *
 *   the page is there, failed, or not owed	gmem_pager_resolved() and the others of
 *   any more (a hole, DETACH)			owed.c, by range
 *   the pager dies, or gets a ring		all
 *   the memslot, or the view, is gone		kvm_gmem_unbind(), gmem_view_release(): those
 *						of the VM
 *   no view is left				gmem_view_release(): all
 *   the gfn becomes shared, or private		kvm_attrs_commit(), gmem_convert()
 *   the VM dies, or is to be moved		kvm_gmem_wake_waits(): those of the VM
 *   a memslot is about to go			kvm_gmem_wake_held(), kvm_gmem_unbind()
 *
 * A wait that was woken is over, whatever it was for: the access that needed the
 * page starts over, and asks and waits again if it still has to. That is why waits
 * are woken one by one, and not all for what concerns few: with 4,000 waits in
 * a queue each answer took 135 ms.
 */
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "../access.h"
#include "../gmem.h"
#include "owed.h"
#include "ring.h"
#include "wait.h"

/* Waits that are woken before others get at the lock. */
#define GMEM_WAKE_BATCH	64

/**
 * gmem_waits_init() - nobody waits yet
 * @waits: of a new pager
 *
 * Context: Any.
 */
void gmem_waits_init(struct gmem_waits *waits)
{
	spin_lock_init(&waits->lock);
	waits->root = RB_ROOT;
	INIT_LIST_HEAD(&waits->helpers);
	INIT_LIST_HEAD(&waits->asyncs);
}

static struct gmem_waits *gmem_waits_of(const struct gmem_wait *wait)
{
	return &wait->gi->pager->waits;
}

/* May it be asked to carry out answers? As gmem_wait_sleep() has it. */
static bool gmem_wait_helps(const struct gmem_wait *wait)
{
	return wait->task && !(READ_ONCE(wait->task->flags) & PF_KTHREAD);
}

/* By page offset; at the same, whoever came first. */
static bool gmem_wait_less(struct rb_node *a, const struct rb_node *b)
{
	const struct gmem_wait *l = rb_entry(a, struct gmem_wait, node);
	const struct gmem_wait *r = rb_entry(b, struct gmem_wait, node);

	return l->index < r->index || (l->index == r->index && l->seq < r->seq);
}

/* The first wait behind (@index, @seq). */
static struct gmem_wait *gmem_wait_first(struct gmem_waits *waits, pgoff_t index, u64 seq)
{
	struct rb_node *node = waits->root.rb_node;
	struct gmem_wait *found = NULL;

	while (node) {
		struct gmem_wait *wait = rb_entry(node, struct gmem_wait, node);

		if (wait->index > index || (wait->index == index && wait->seq > seq)) {
			found = wait;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

static void gmem_wait_unlink(struct gmem_wait *wait)
{
	struct gmem_waits *waits = gmem_waits_of(wait);

	lockdep_assert_held(&waits->lock);

	rb_erase(&wait->node, &waits->root);
	RB_CLEAR_NODE(&wait->node);
	list_del_init(&wait->helper);
	waits->nr[wait->kind]--;
}

/* It is over. The task, or whoever else goes on, may be gone once the lock is. */
static void gmem_wait_wake(struct gmem_wait *wait)
{
	gmem_wait_unlink(wait);
	/* Before it is looked at: pairs with set_current_state(). */
	WRITE_ONCE(wait->woken, true);
	if (wait->task)
		wake_up_process(wait->task);
	else
		gmem_async_complete(wait);
}

/**
 * gmem_waits_wake() - end the waits for a range of pages
 * @pager: the pager
 * @start: first page offset
 * @end: page offset after the last
 * @kvm: the VM whose waits are meant; NULL: all
 *
 * What has changed for them has been made visible before. Those that begin meanwhile
 * see it, and are left alone: this comes to its end.
 *
 * Context: Process context, may sleep.
 */
void gmem_waits_wake(struct gmem_pager *pager, pgoff_t start, pgoff_t end, const struct kvm *kvm)
{
	struct gmem_waits *waits = &pager->waits;
	struct gmem_wait *wait, *next;
	unsigned int n = 0;
	u64 last;

	spin_lock(&waits->lock);
	last = waits->seq;
	for (wait = gmem_wait_first(waits, start, 0); wait && wait->index < end; wait = next) {
		pgoff_t index = wait->index;
		u64 seq = wait->seq;
		struct rb_node *node = rb_next(&wait->node);

		next = node ? rb_entry(node, struct gmem_wait, node) : NULL;
		if (seq <= last && (!kvm || wait->kvm == kvm))
			gmem_wait_wake(wait);
		if (next && ++n % GMEM_WAKE_BATCH == 0) {
			spin_unlock(&waits->lock);
			cond_resched();
			spin_lock(&waits->lock);
			next = gmem_wait_first(waits, index, seq);
		}
	}
	spin_unlock(&waits->lock);
}

/* The first that began to wait with @ring. After a ring was replaced few others are left. */
static struct gmem_wait *gmem_waits_first(struct list_head *list, const struct gmem_ring *ring)
{
	struct gmem_wait *wait;

	list_for_each_entry(wait, list, helper) {
		if (wait->ring == ring)
			return wait;
	}
	return NULL;
}

/**
 * gmem_waits_nudge() - have somebody who waits look at the ring
 * @pager: the pager
 * @ring: the ring; those that began to wait with another do not look there
 *
 * One is enough: it carries out all answers, or passes on what it leaves. A task does not stop
 * waiting for that. Where only guests' tasks wait, one is told, and its guest's
 * next touch looks.
 *
 * Context: Process context.
 */
void gmem_waits_nudge(struct gmem_pager *pager, const struct gmem_ring *ring)
{
	struct gmem_waits *waits = &pager->waits;
	struct gmem_wait *wait;

	spin_lock(&waits->lock);
	wait = gmem_waits_first(&waits->helpers, ring);
	if (wait) {
		wake_up_process(wait->task);
	} else {
		wait = gmem_waits_first(&waits->asyncs, ring);
		if (wait)
			gmem_wait_wake(wait);
	}
	spin_unlock(&waits->lock);
}

/**
 * gmem_waits_count() - how many wait
 * @pager: the pager
 * @kind: in which way
 *
 * Context: Any.
 * Return: their number, out of date at once.
 */
unsigned int gmem_waits_count(struct gmem_pager *pager, enum gmem_wait_kind kind)
{
	return READ_ONCE(pager->waits.nr[kind]);
}

/**
 * gmem_wait_begin_in_vm() - have a VM know of a task that waits in its name
 * @wait: the wait; @wait->kvm, @wait->vcpu, @wait->task and @wait->kind are set
 *
 * Context: Process context. To be undone by gmem_wait_end_in_vm().
 */
void gmem_wait_begin_in_vm(struct gmem_wait *wait)
{
	struct kvm *kvm = wait->kvm;
	unsigned long flags;

	if (wait->vcpu)
		WRITE_ONCE(wait->vcpu->gmem_in_access, true);

	spin_lock_irqsave(&kvm->gmem_waits_lock, flags);
	list_add_tail(&wait->entry, &kvm->gmem_waits);
	if (wait->kind == GMEM_WAIT_HELD)
		WRITE_ONCE(kvm->gmem_held_waits, kvm->gmem_held_waits + 1);
	spin_unlock_irqrestore(&kvm->gmem_waits_lock, flags);
}

/**
 * gmem_wait_end_in_vm() - undo gmem_wait_begin_in_vm()
 * @wait: the wait
 *
 * Context: Process context. Nobody wakes the task by it afterwards.
 */
void gmem_wait_end_in_vm(struct gmem_wait *wait)
{
	struct kvm *kvm = wait->kvm;
	unsigned long flags;

	spin_lock_irqsave(&kvm->gmem_waits_lock, flags);
	list_del(&wait->entry);
	if (wait->kind == GMEM_WAIT_HELD)
		WRITE_ONCE(kvm->gmem_held_waits, kvm->gmem_held_waits - 1);
	spin_unlock_irqrestore(&kvm->gmem_waits_lock, flags);

	if (wait->vcpu)
		WRITE_ONCE(wait->vcpu->gmem_in_access, false);
}

/**
 * gmem_wait_init() - set a wait up
 * @wait: the wait; @wait->kvm, @wait->vcpu, @wait->task and @wait->rounds are set
 * @kind: in which way
 * @gi: the inode, which has a pager
 * @index: page offset
 *
 * Context: Process context. To be begun and ended.
 */
void gmem_wait_init(struct gmem_wait *wait, enum gmem_wait_kind kind, struct gmem_inode *gi,
		    pgoff_t index)
{
	wait->kind = kind;
	wait->gi = gi;
	wait->index = index;
	wait->ring = gmem_ring_get(gi->pager);
	wait->woken = false;
	RB_CLEAR_NODE(&wait->node);
	INIT_LIST_HEAD(&wait->helper);
}

/**
 * gmem_wait_begin() - begin to wait
 * @wait: the wait, set up
 *
 * It can be woken from here on. The caller looks then whether there is something to
 * wait for, by gmem_wait_is_over() and for what that does not know.
 *
 * Context: Process context.
 */
void gmem_wait_begin(struct gmem_wait *wait)
{
	struct gmem_waits *waits = gmem_waits_of(wait);

	if (wait->kvm && wait->task)
		gmem_wait_begin_in_vm(wait);

	spin_lock(&waits->lock);
	wait->seq = ++waits->seq;
	rb_add(&wait->node, &waits->root, gmem_wait_less);
	if (!wait->task)
		list_add_tail(&wait->helper, &waits->asyncs);
	else if (gmem_wait_helps(wait))
		list_add_tail(&wait->helper, &waits->helpers);
	waits->nr[wait->kind]++;
	spin_unlock(&waits->lock);
}

/**
 * gmem_wait_give_up() - take a wait out of the tree
 * @wait: the wait
 *
 * Context: Process context. A task that has woken it is done with it afterwards.
 * Return: whether it was still there: nobody has woken it then, or will.
 */
bool gmem_wait_give_up(struct gmem_wait *wait)
{
	struct gmem_waits *waits = gmem_waits_of(wait);
	bool waits_still;

	spin_lock(&waits->lock);
	waits_still = !RB_EMPTY_NODE(&wait->node);
	if (waits_still)
		gmem_wait_unlink(wait);
	spin_unlock(&waits->lock);
	return waits_still;
}

/**
 * gmem_wait_end() - the wait is over, or was given up
 * @wait: the wait, which was begun
 *
 * Context: Process context, may sleep.
 */
void gmem_wait_end(struct gmem_wait *wait)
{
	gmem_wait_give_up(wait);
	if (wait->kvm && wait->task)
		gmem_wait_end_in_vm(wait);
	/* It may have been nudged when it had no time any more to look. */
	gmem_ring_pass_on(wait->ring);
	gmem_ring_put(wait->ring);
}

/**
 * gmem_wait_is_over() - is there nothing to wait for any more?
 * @wait: the wait
 *
 * The wait is also over if the ring was replaced, since the new ring's pager does not know
 * of this sleeper, and when waits that have no event are to ask again.
 *
 * Context: Any, also where the caller is about to sleep.
 * Return: whether to look at everything again.
 */
bool gmem_wait_is_over(const struct gmem_wait *wait)
{
	return READ_ONCE(wait->woken) || (wait->kvm && READ_ONCE(wait->kvm->vm_dead)) ||
	       rcu_access_pointer(wait->gi->pager->ring) != wait->ring ||
	       gmem_pager_rounds(wait->gi) != wait->rounds || gmem_inode_is_gone(wait->gi) ||
	       !gmem_pager_waits(wait->gi, wait->index);
}

/*
 * Wakes those that are there now, some at a time: there may be as many as a VMM has
 * threads, and interrupts are off. The two marks have no task, by which others know them.
 */
static void gmem_wake_in_vm(struct kvm *kvm, bool held_only)
{
	struct gmem_wait at = { .task = NULL }, end = { .task = NULL };
	struct gmem_wait *wait;
	unsigned int n = 0;
	unsigned long flags;

	spin_lock_irqsave(&kvm->gmem_waits_lock, flags);
	list_add(&at.entry, &kvm->gmem_waits);
	list_add_tail(&end.entry, &kvm->gmem_waits);
	while ((wait = list_next_entry(&at, entry)) != &end) {
		list_move(&at.entry, &wait->entry);
		if (wait->task && (!held_only || wait->kind == GMEM_WAIT_HELD)) {
			WRITE_ONCE(wait->woken, true);
			wake_up_process(wait->task);
		}
		if (++n % GMEM_WAKE_BATCH == 0) {
			spin_unlock_irqrestore(&kvm->gmem_waits_lock, flags);
			cpu_relax();
			spin_lock_irqsave(&kvm->gmem_waits_lock, flags);
		}
	}
	list_del(&at.entry);
	list_del(&end.entry);
	spin_unlock_irqrestore(&kvm->gmem_waits_lock, flags);
}

/**
 * kvm_gmem_wake_waits() - have all of a VM's tasks that wait look again
 * @kvm: the VM, dead or to be moved
 *
 * Its guest's tasks, which wait asynchronously, are not concerned.
 *
 * Context: Any but NMI.
 */
void kvm_gmem_wake_waits(struct kvm *kvm)
{
	gmem_wake_in_vm(kvm, false);
}
EXPORT_SYMBOL_GPL(kvm_gmem_wake_waits);

/**
 * kvm_gmem_wake_held() - have those look again that wait with kvm->srcu
 * @kvm: the VM, which has new memslots
 *
 * An update of memslots waits for them next. Where theirs is about to go, they stand
 * there with a copy that is marked invalid, and do not wait any more.
 *
 * Context: Any but NMI.
 */
void kvm_gmem_wake_held(struct kvm *kvm)
{
	/* The memslots before the look at who waits: the list's lock orders the rest. */
	smp_mb();
	gmem_wake_in_vm(kvm, true);
}

/**
 * kvm_gmem_wake_gfns() - have those of a VM look again that wait for pages of a range
 * @kvm: the VM, whose attributes have changed
 * @start: the first gfn
 * @end: the gfn after the last
 *
 * Context: Process context, may sleep; slots_lock is held, which keeps views that are bound.
 */
void kvm_gmem_wake_gfns(struct kvm *kvm, gfn_t start, gfn_t end)
{
	struct kvm_memslot_iter iter;

	lockdep_assert_held(&kvm->slots_lock);

	for (int i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot_in_gfn_range(&iter, __kvm_memslots(kvm, i), start, end) {
			struct kvm_memory_slot *slot = iter.slot;
			struct gmem_view *view = gmem_slot_view_locked(slot);
			gfn_t first = max(start, slot->base_gfn);
			gfn_t last = min(end, slot->base_gfn + slot->npages);

			if (view && first < last)
				gmem_pager_wake_range(view->inode, gmem_slot_index(slot, first),
						      gmem_slot_index(slot, last), kvm);
		}
	}
}

/**
 * kvm_gmem_vcpu_waits() - is a vCPU in the midst of an access that waits?
 * @vcpu: the vCPU
 *
 * Nobody but the pager ends that, or whoever takes the memory away.
 *
 * Context: Any but NMI. Out of date at once, unless vcpu->mutex is held.
 * Return: whether it is.
 */
bool kvm_gmem_vcpu_waits(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->gmem_in_access);
}
EXPORT_SYMBOL_GPL(kvm_gmem_vcpu_waits);

/**
 * gmem_wait_sleep() - sleep until a wait is over
 * @wait: the wait, begun
 * @state: in which state
 * @timeout: at most so long, in jiffies, or MAX_SCHEDULE_TIMEOUT: not for those who may not wait
 * @stop: is it over, or has the task something else to do? Asked before it sleeps
 * @arg: for @stop
 *
 * Answers that nobody is at are carried out before, and whenever it is woken for them: but
 * not by a kworker. It could be kept at that for ever, no signal ends it, and what it
 * allocates is charged to nobody.
 *
 * Context: Process context, may sleep.
 */
void gmem_wait_sleep(struct gmem_wait *wait, unsigned int state, long timeout,
		     gmem_ring_stop_fn stop, void *arg)
{
	struct gmem_ring *ring = gmem_may_wait() ? wait->ring : NULL;

	/* A task that may not wait has failed before, or has a bound. */
	WARN_ON_ONCE(timeout == MAX_SCHEDULE_TIMEOUT && !gmem_may_wait());

	gmem_ring_sleep(ring);
	for (;;) {
		gmem_ring_help(ring, stop, arg);
		set_current_state(state);
		if (stop(arg) || !timeout)
			break;
		if (!gmem_ring_has_work(ring))
			timeout = schedule_timeout(timeout);
		__set_current_state(TASK_RUNNING);
	}
	__set_current_state(TASK_RUNNING);
	gmem_ring_wake(ring);
	gmem_ring_pass_on(ring);
}

/**
 * gmem_may_wait() - may the caller wait for a pager?
 *
 * A kthread may not: a kworker injects interrupts for one VM, a flush of its queue
 * waits for all of them, and it can't be killed. Nor may a task that exits, which no
 * signal reaches any more, or one that dumps core.
 *
 * Context: Any.
 * Return: whether it may.
 */
bool gmem_may_wait(void)
{
	return !(current->flags & (PF_KTHREAD | PF_EXITING | PF_DUMPCORE));
}

/**
 * gmem_slot_serves() - does an access still need a page of a slot's inode?
 * @kvm: the VM
 * @slot: the memslot, of which another copy may be in use by now
 * @gfn: inside @slot
 * @private: the access needs the page only where @gfn is private
 *
 * The memslots have a copy of a slot that is about to go, which says so, while the
 * memslots that @slot is from may still be in use.
 *
 * Context: kvm->srcu is held for reading. Asked once the wait has begun: later changes
 * wake it.
 * Return: whether it does.
 */
bool gmem_slot_serves(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
		      bool private)
{
	struct kvm_memory_slot *now = __gfn_to_memslot(__kvm_memslots(kvm, slot->as_id), gfn);

	return now && !(now->flags & KVM_MEMSLOT_INVALID) && gmem_slot_is_open(slot) &&
	       (private || kvm_slot_is_gmem_only(slot));
}
