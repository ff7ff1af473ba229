// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU waits for a page that the pager owes.
 *
 * A stage-2 fault does not wait: it asks, is unwound, and leaves a request by
 * which its vCPU waits where KVM_RUN could as well sleep in HLT, with neither
 * kvm->srcu nor a lock of MMU, inode or folio. Then the guest tries again.
 * vcpu->mutex is KVM_RUN's own; a move has the vCPU leave to userspace. Where
 * the pager has a ring, the vCPU may look there for a while before it sleeps. It
 * does not sleep where the guest can do something else meanwhile: see async.c.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/task_work.h>

#include "../access.h"
#include "../gmem.h"
#include "../view.h"
#include "owed.h"
#include "ring.h"
#include "wait.h"

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

/*
 * Is there something else for the vCPU than to wait? That it was scheduled out
 * is no news, though it leaves a request; nor is that there may be an event: see
 * gmem_vcpu_has_event().
 */
static bool gmem_vcpu_is_wanted(struct kvm_vcpu *vcpu)
{
	u64 no_news = BIT_ULL(KVM_REQ_STEAL_UPDATE & KVM_REQUEST_MASK) |
		      BIT_ULL(KVM_REQ_EVENT & KVM_REQUEST_MASK);

	/* A view that this task was the last to hold is released on its way to userspace. */
	return READ_ONCE(vcpu->requests) & ~no_news || signal_pending(current) ||
	       task_work_pending(current) || atomic_read(&vcpu->kvm->move_in_progress);
}

/* A vCPU that waits. Such a wait is over when there is something else for it to do. */
struct gmem_vcpu_wait {
	struct kvm_vcpu *vcpu;
	const struct gmem_wait *wait;
	u64 poll_until;
};

static bool gmem_vcpu_wait_is_over(void *arg)
{
	struct gmem_vcpu_wait *w = arg;

	return gmem_wait_is_over(w->wait) || gmem_vcpu_is_wanted(w->vcpu) ||
	       gmem_vcpu_has_event(w->vcpu);
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
void gmem_wait_help_ring(struct kvm_vcpu *vcpu, const struct gmem_wait *wait)
{
	struct gmem_vcpu_wait w = { .vcpu = vcpu, .wait = wait };

	gmem_ring_help(wait->ring, gmem_vcpu_wait_is_over, &w);
}

static void gmem_vcpu_sleep(struct kvm_vcpu *vcpu, struct gmem_wait *wait)
{
	struct gmem_vcpu_wait w = { .vcpu = vcpu, .wait = wait };
	bool hv_timer;

	/* Kicks of the vCPU wake it too: for an interrupt, a request, its end. */
	hv_timer = gmem_vcpu_block(vcpu);
	gmem_wait_sleep(wait, TASK_INTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT, gmem_vcpu_wait_is_over, &w);
	gmem_vcpu_unblock(vcpu, hv_timer);
}

/* Without kvm->srcu. 1: back to the guest, or to what else there is to do; -EINTR: to userspace. */
static int gmem_vcpu_wait(struct kvm_vcpu *vcpu, gfn_t gfn, struct gmem_wait *wait)
{
	gmem_vcpu_poll(vcpu, wait);
	/* Since the fault asked there may have been room for its event. */
	if (!gmem_wait_is_over(wait) &&
	    !gmem_pager_ask(wait->gi, wait->index, vcpu->kvm->userspace_pid, 0) &&
	    !gmem_async_begin(vcpu, gfn, wait))
		gmem_vcpu_sleep(vcpu, wait);

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
	struct gmem_wait wait = { .kvm = vcpu->kvm, .task = current };
	gfn_t gfn = vcpu->gmem_wait_gfn;
	struct kvm_memory_slot *slot = kvm_vcpu_gfn_to_memslot(vcpu, gfn);
	struct gmem_inode *gi;
	pgoff_t index;
	int r = 1;

	gi = gmem_slot_get_inode(slot, gfn, &index);
	if (!gi)
		return 1;

	wait.rounds = gmem_pager_rounds(gi);
	gmem_wait_init(&wait, GMEM_WAIT_GUEST, gi, index);
	gmem_wait_begin(&wait);
	if (gmem_slot_serves(vcpu->kvm, slot, gfn, kvm_mem_is_private(vcpu->kvm, gfn))) {
		kvm_vcpu_srcu_read_unlock(vcpu);
		r = gmem_vcpu_wait(vcpu, gfn, &wait);
		kvm_vcpu_srcu_read_lock(vcpu);
	}
	gmem_wait_end(&wait);

	iput(&gi->vfs_inode);
	return r;
}
