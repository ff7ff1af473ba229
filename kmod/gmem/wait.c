// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting for a page that the pager owes.
 *
 * A stage-2 fault does not wait: it asks, is unwound, and leaves a request by
 * which its vCPU waits where KVM_RUN could as well sleep in HLT, with neither
 * kvm->srcu nor a lock of MMU, inode or folio. Then the guest tries again.
 * vcpu->mutex is KVM_RUN's own; a move has the vCPU leave to userspace. Where
 * the pager has a ring, the vCPU may look there for a while before it sleeps. It
 * does not sleep where the guest can do something else meanwhile: see async.c.
 *
 * KVM's own accesses wait where they are, and until they are killed, as they do
 * for memory behind userspace_addr: an instruction that is half emulated can't
 * start over. In KVM_RUN they give up the vCPU's kvm->srcu meanwhile: access.h has
 * who may, and what follows. Others wait with it. Host faults drop mmap_lock or
 * the VMA's lock and are retried.
 *
 * Who waits looks at the page after it stands in the queue, and who answers
 * wakes the queue after the page is there: no wake-up is lost.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>

#include "access.h"
#include "gmem.h"
#include "pager.h"
#include "ring.h"

/* The VMM wants to see it itself. */
static int gmem_vcpu_exit(struct kvm_vcpu *vcpu, gfn_t gfn, bool write, bool exec)
{
	kvm_prepare_memory_fault_exit(vcpu, gfn_to_gpa(gfn), PAGE_SIZE, write, exec,
				      kvm_mem_is_private(vcpu->kvm, gfn));
	vcpu->run->memory_fault.flags |= KVM_MEMORY_EXIT_FLAG_MISSING;
	return -EFAULT;
}

/**
 * kvm_gmem_ask() - a stage-2 fault needs a page that the pager owes
 * @vcpu: the vCPU
 * @slot: the memslot
 * @gfn: inside @slot
 * @write: the guest writes
 * @exec: the guest fetches an instruction
 *
 * Context: Process context; kvm->srcu is held for reading. The fault is to be
 * unwound then; the vCPU waits at KVM_REQ_GMEM_WAIT.
 * Return: 0; -ENOMEM; -EFAULT with KVM_EXIT_MEMORY_FAULT set up.
 */
int kvm_gmem_ask(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, gfn_t gfn, bool write,
		 bool exec)
{
	u32 flags = (write ? KVM_GMEM_FAULT_WRITE : 0) | (exec ? KVM_GMEM_FAULT_EXEC : 0);
	struct gmem_inode *gi;
	pgoff_t index;
	int r;

	gi = gmem_slot_get_inode(slot, gfn, &index);
	if (!gi)
		return 0;

	r = gmem_pager_ask(gi, index, vcpu->kvm->userspace_pid, flags);
	if (!r && READ_ONCE(gi->pager->flags) & KVM_GMEM_PAGER_EXIT)
		r = gmem_vcpu_exit(vcpu, gfn, write, exec);
	iput(&gi->vfs_inode);
	if (r)
		return r;

	vcpu->gmem_wait_gfn = gfn;
	kvm_make_request(KVM_REQ_GMEM_WAIT, vcpu);
	return 0;
}

/**
 * gmem_wait_is_over() - is there nothing to wait for any more?
 * @wait: the wait
 *
 * Nor is there where there is another ring: that one's pager knows of no sleeper.
 *
 * Context: Any.
 * Return: whether to look at the page again.
 */
bool gmem_wait_is_over(const struct gmem_wait *wait)
{
	return rcu_access_pointer(wait->gi->pager->ring) != wait->ring ||
	       !gmem_pager_waits(wait->gi, wait->index);
}

/**
 * gmem_wait_is_meant() - does a wake-up concern this wait?
 * @wait: the wait
 * @answered: the wake-up's key
 *
 * Context: Any.
 * Return: false where it is for pages of others.
 */
bool gmem_wait_is_meant(const struct gmem_wait *wait, const struct gmem_answered *answered)
{
	return !answered || (wait->index >= answered->start && wait->index < answered->end);
}

/**
 * gmem_wait_begin() - begin to wait
 * @gi: the inode, which has a pager
 * @index: page offset
 *
 * Context: Any.
 * Return: the wait, to be ended by gmem_wait_end().
 */
struct gmem_wait gmem_wait_begin(struct gmem_inode *gi, pgoff_t index)
{
	struct gmem_wait wait = {
		.gi = gi, .index = index, .ring = gmem_ring_get(gi->pager),
	};

	return wait;
}

/**
 * gmem_wait_end() - the wait is over, or was given up
 * @wait: the wait, in no queue
 *
 * Context: Process context, may sleep.
 */
void gmem_wait_end(struct gmem_wait *wait)
{
	gmem_ring_put(wait->ring);
}

/*
 * Is there something else for the vCPU than to wait? That it was scheduled out
 * is no news, though it leaves a request.
 */
static bool gmem_vcpu_is_wanted(struct kvm_vcpu *vcpu)
{
	u64 no_news = BIT_ULL(KVM_REQ_STEAL_UPDATE & KVM_REQUEST_MASK);

	return READ_ONCE(vcpu->requests) & ~no_news || signal_pending(current) ||
	       atomic_read(&vcpu->kvm->move_in_progress);
}

/* Answers to others' questions wake no vCPU. */
static int gmem_vcpu_wake(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	const struct gmem_wait *wait = container_of(entry, struct gmem_wait, entry);

	if (!gmem_wait_is_meant(wait, key))
		return 0;
	return autoremove_wake_function(entry, mode, flags, key);
}

/* A vCPU that waits. Such a wait is over when there is something else for it to do. */
struct gmem_vcpu_wait {
	struct kvm_vcpu *vcpu;
	struct gmem_wait *wait;
	u64 poll_until;
};

static bool gmem_vcpu_wait_is_over(void *arg)
{
	struct gmem_vcpu_wait *w = arg;

	return gmem_wait_is_over(w->wait) || gmem_vcpu_is_wanted(w->vcpu);
}

static bool gmem_vcpu_poll_is_over(void *arg)
{
	struct gmem_vcpu_wait *w = arg;

	return gmem_vcpu_wait_is_over(w) || !single_task_running() || need_resched() ||
	       ktime_get_ns() >= w->poll_until;
}

/*
 * Looks for the answer for as long as the pager said, while nobody else wants
 * the CPU. The page may come by this vCPU's own hands: no one is woken then.
 */
static void gmem_vcpu_poll(struct kvm_vcpu *vcpu, struct gmem_wait *wait)
{
	struct gmem_vcpu_wait w = { .vcpu = vcpu, .wait = wait };

	if (!wait->ring || !gmem_ring_poll_ns(wait->ring))
		return;

	w.poll_until = ktime_get_ns() + gmem_ring_poll_ns(wait->ring);
	while (!gmem_vcpu_poll_is_over(&w)) {
		gmem_ring_help(wait->ring, gmem_vcpu_poll_is_over, &w);
		cpu_relax();
	}
	gmem_ring_pass_on(wait->ring);
}

/**
 * gmem_wait_help_ring() - a vCPU that is about to wait carries out answers
 * @vcpu: the vCPU
 * @wait: its wait, which has been announced by gmem_ring_sleep()
 *
 * Context: KVM_RUN; nothing is held but vcpu->mutex.
 */
void gmem_wait_help_ring(struct kvm_vcpu *vcpu, struct gmem_wait *wait)
{
	struct gmem_vcpu_wait w = { .vcpu = vcpu, .wait = wait };

	gmem_ring_help(wait->ring, gmem_vcpu_wait_is_over, &w);
}

static void gmem_vcpu_sleep(struct kvm_vcpu *vcpu, struct gmem_wait *wait)
{
	struct rcuwait *kicks = kvm_arch_vcpu_get_wait(vcpu);
	wait_queue_head_t *waiters = &wait->gi->pager->waiters;

	init_wait(&wait->entry);
	wait->entry.func = gmem_vcpu_wake;
	gmem_ring_sleep(wait->ring);
	/* Kicks of the vCPU wake it too: for an interrupt, a request, its end. */
	prepare_to_rcuwait(kicks);
	for (;;) {
		gmem_wait_help_ring(vcpu, wait);
		prepare_to_wait(waiters, &wait->entry, TASK_INTERRUPTIBLE);
		if (gmem_vcpu_is_wanted(vcpu) || gmem_wait_is_over(wait))
			break;
		if (!gmem_ring_has_work(wait->ring))
			schedule();
		__set_current_state(TASK_RUNNING);
	}
	finish_wait(waiters, &wait->entry);
	finish_rcuwait(kicks);
	gmem_ring_wake(wait->ring);
	gmem_ring_pass_on(wait->ring);
}

/* 1: back to the guest, or to what else there is to do; -EINTR: to userspace. */
static int gmem_vcpu_wait(struct kvm_vcpu *vcpu, gfn_t gfn, struct gmem_inode *gi, pgoff_t index)
{
	struct gmem_wait wait = gmem_wait_begin(gi, index);

	gmem_vcpu_poll(vcpu, &wait);
	if (!gmem_wait_is_over(&wait) && !gmem_async_begin(vcpu, gfn, gi, index))
		gmem_vcpu_sleep(vcpu, &wait);
	gmem_wait_end(&wait);

	/* A move waits for vcpu->mutex, which only userspace can let go of. */
	if (!atomic_read(&vcpu->kvm->move_in_progress))
		return 1;
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	return -EINTR;
}

/**
 * kvm_gmem_wait() - a vCPU waits for a page that its guest needs
 * @vcpu: the vCPU
 *
 * Context: KVM_RUN, between two entries to the guest; vcpu->mutex is held, and
 * kvm->srcu, which is dropped meanwhile.
 * Return: 1: go on; -EINTR: leave to userspace.
 */
int kvm_gmem_wait(struct kvm_vcpu *vcpu)
{
	gfn_t gfn = vcpu->gmem_wait_gfn;
	struct gmem_inode *gi;
	pgoff_t index;
	int r;

	gi = gmem_slot_get_inode(kvm_vcpu_gfn_to_memslot(vcpu, gfn), gfn, &index);
	if (!gi)
		return 1;

	kvm_vcpu_srcu_read_unlock(vcpu);
	r = gmem_vcpu_wait(vcpu, gfn, gi, index);
	kvm_vcpu_srcu_read_lock(vcpu);

	iput(&gi->vfs_inode);
	return r;
}

/*
 * The vCPU by which the caller has kvm->srcu, or NULL: it has it otherwise. The
 * caller may have it twice, which does no harm but to who synchronizes.
 */
static struct kvm_vcpu *gmem_srcu_vcpu(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu = kvm_get_running_vcpu();

	return vcpu && vcpu->kvm == kvm && vcpu->srcu_held ? vcpu : NULL;
}

static int gmem_own_wake(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	const struct gmem_wait *wait = container_of(entry, struct gmem_wait, entry);

	return gmem_wait_is_meant(wait, key) ? woken_wake_function(entry, mode, flags, key) : 0;
}

static bool gmem_own_wait_is_over(void *arg)
{
	return gmem_wait_is_over(arg);
}

/*
 * Sleeps without kvm->srcu. Whatever wakes it, the caller looks at everything
 * again. It stands in the queue before it gives up kvm->srcu: who deletes the slot
 * synchronizes that, then unbinds, then wakes the queue.
 */
static void gmem_sleep_without_srcu(struct kvm_vcpu *vcpu, struct gmem_wait *wait)
{
	wait_queue_head_t *waiters = &wait->gi->pager->waiters;

	init_wait(&wait->entry);
	wait->entry.func = gmem_own_wake;
	add_wait_queue(waiters, &wait->entry);
	vcpu->gmem_waits++;
	kvm_vcpu_srcu_read_unlock(vcpu);

	gmem_ring_sleep(wait->ring);
	gmem_ring_help(wait->ring, gmem_own_wait_is_over, wait);
	if (!vcpu->kvm->vm_dead && !gmem_wait_is_over(wait) && !gmem_ring_has_work(wait->ring))
		wait_woken(&wait->entry, TASK_KILLABLE, MAX_SCHEDULE_TIMEOUT);
	gmem_ring_wake(wait->ring);

	kvm_vcpu_srcu_read_lock(vcpu);
	remove_wait_queue(waiters, &wait->entry);
	gmem_ring_pass_on(wait->ring);
}

/* Sleeps with kvm->srcu. */
static void gmem_sleep_with_srcu(struct kvm *kvm, struct gmem_wait *wait)
{
	gmem_ring_sleep(wait->ring);
	gmem_ring_help(wait->ring, gmem_own_wait_is_over, wait);
	wait_event_killable(wait->gi->pager->waiters, kvm->vm_dead || gmem_wait_is_over(wait) ||
			    gmem_ring_has_work(wait->ring));
	gmem_ring_wake(wait->ring);
	gmem_ring_pass_on(wait->ring);
}

/*
 * One of KVM's own accesses waits; @vcpu is gmem_srcu_vcpu() where it may give up
 * kvm->srcu, and NULL else. 0: try again.
 *
 * A signal is no reason to fail: of an access that does, KVM makes MMIO, and the
 * VMM something that was never in the guest's memory.
 */
static int gmem_wait_here(struct kvm *kvm, struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
			  gfn_t gfn)
{
	struct gmem_inode *gi;
	struct gmem_wait wait;
	pgoff_t index;
	int r;

	if (fatal_signal_pending(current))
		return -EINTR;
	if (kvm->vm_dead)
		return -EIO;

	gi = gmem_slot_get_inode(slot, gfn, &index);
	if (!gi)
		return -EFAULT;

	r = gmem_pager_ask(gi, index, kvm->userspace_pid, KVM_GMEM_FAULT_KVM);
	if (!r) {
		wait = gmem_wait_begin(gi, index);
		if (vcpu)
			gmem_sleep_without_srcu(vcpu, &wait);
		else
			gmem_sleep_with_srcu(kvm, &wait);
		gmem_wait_end(&wait);
	}
	iput(&gi->vfs_inode);
	return r;
}

/**
 * gmem_get_pfn_wait() - the page behind a gfn, for KVM's own access
 * @kvm: the VM
 * @slot: a memslot with KVM_MEM_GUEST_MEMFD
 * @gfn: inside @slot
 * @pfn: where the page frame number goes
 *
 * For callers that go on to use @slot: kvm->srcu stays held.
 *
 * Context: as kvm_gmem_get_pfn(); waits for the pager.
 * Return: as kvm_gmem_get_pfn(); -EINTR, -EIO for a dead VM.
 */
int gmem_get_pfn_wait(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn, kvm_pfn_t *pfn)
{
	int r;

	for (;;) {
		r = kvm_gmem_get_pfn(kvm, slot, gfn, pfn, NULL);
		if (r != -ENODATA)
			return r;
		r = gmem_wait_here(kvm, NULL, slot, gfn);
		if (r)
			return r;
	}
}

/**
 * gmem_get_pfn_or_wait() - the page behind a gfn, or one wait for it
 * @kvm: the VM
 * @slot: a memslot with KVM_MEM_GUEST_MEMFD; after a wait the one that there is
 *	  then, or NULL. No other pointer to a memslot is good any more
 * @gfn: inside @slot
 * @pfn: where the page frame number goes
 *
 * Context: as kvm_gmem_get_pfn(); may wait for the pager, without kvm->srcu where
 * that is held by kvm_vcpu_srcu_read_lock().
 * Return: as kvm_gmem_get_pfn(); -EAGAIN: it has waited, look again; -EINTR, -EIO for
 * a dead VM.
 */
int gmem_get_pfn_or_wait(struct kvm *kvm, struct kvm_memory_slot **slot, gfn_t gfn,
			 kvm_pfn_t *pfn)
{
	int as_id = (*slot)->as_id;
	int r;

	r = kvm_gmem_get_pfn(kvm, *slot, gfn, pfn, NULL);
	if (r != -ENODATA)
		return r;

	r = gmem_wait_here(kvm, gmem_srcu_vcpu(kvm), *slot, gfn);
	*slot = __gfn_to_memslot(__kvm_memslots(kvm, as_id), gfn);
	return r ? : -EAGAIN;
}

static bool gmem_host_wait_is_over(void *arg)
{
	return gmem_wait_is_over(arg) || signal_pending(current);
}

/**
 * gmem_wait_host_fault() - a host fault needs a page that the pager owes
 * @gi: the inode
 * @vmf: the fault
 *
 * Context: vm_operations_struct.fault, with nothing held but what it came with.
 * Return: VM_FAULT_RETRY, or VM_FAULT_SIGBUS where that is not allowed, as in
 * some of the kernel's accesses: these fail.
 */
vm_fault_t gmem_wait_host_fault(struct gmem_inode *gi, struct vm_fault *vmf)
{
	u32 flags = vmf->flags & FAULT_FLAG_WRITE ? KVM_GMEM_FAULT_WRITE : 0;
	wait_queue_head_t *waiters = &gi->pager->waiters;
	pgoff_t index = vmf->pgoff;
	unsigned int how = vmf->flags;
	struct gmem_wait wait;

	if (gmem_pager_ask(gi, index, 0, flags))
		return VM_FAULT_OOM;

	if (!(how & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;
	if (how & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;

	/* Without the lock, the mapping may go, and @vmf with it. */
	ihold(&gi->vfs_inode);
	release_fault_lock(vmf);

	wait = gmem_wait_begin(gi, index);
	gmem_ring_sleep(wait.ring);
	if (how & FAULT_FLAG_INTERRUPTIBLE) {
		gmem_ring_help(wait.ring, gmem_host_wait_is_over, &wait);
		wait_event_interruptible(*waiters, gmem_wait_is_over(&wait) ||
					 gmem_ring_has_work(wait.ring));
	} else {
		gmem_ring_help(wait.ring, gmem_own_wait_is_over, &wait);
		wait_event_killable(*waiters, gmem_wait_is_over(&wait) ||
				    gmem_ring_has_work(wait.ring));
	}
	gmem_ring_wake(wait.ring);
	gmem_ring_pass_on(wait.ring);
	gmem_wait_end(&wait);

	iput(&gi->vfs_inode);
	return VM_FAULT_RETRY;
}
