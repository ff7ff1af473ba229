// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's own accesses wait for a page that the pager owes.
 *
 * They wait where they are, and until they are killed, as they do for memory behind
 * userspace_addr: an instruction that is half emulated can't start over. In KVM_RUN
 * they give up the vCPU's kvm->srcu meanwhile: access.h says which may, and what
 * follows. The others keep it. An ioctl that is about to make such an access waits for
 * the page before it begins, and can be interrupted there; so can one that is nothing
 * but such accesses (KVM_TRANSLATE).
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>

#include "../access.h"
#include "../gmem.h"
#include "../pager/owed.h"
#include "../pager/wait.h"
#include "../view.h"
#include "wait.h"

/* The loaded vCPU, where it is one of this VM's: of another VM, it has no part in this. */
static struct kvm_vcpu *gmem_running_vcpu(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu = kvm_get_running_vcpu();

	return vcpu && vcpu->kvm == kvm ? vcpu : NULL;
}

/*
 * The vCPU whose mutex this task has, in an ioctl, loaded or not: a move has to know of
 * each that keeps it waiting. NULL: none, as in an ioctl of the VM.
 */
static struct kvm_vcpu *gmem_current_vcpu(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu = gmem_running_vcpu(kvm);
	unsigned long i;

	if (vcpu)
		return vcpu;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (READ_ONCE(vcpu->ioctl_task) == current)
			return vcpu;
	}
	return NULL;
}

/**
 * struct gmem_own - an access of KVM's own that needs a page which a pager owes
 * @kvm: the VM
 * @kind: GMEM_WAIT_OWN, GMEM_WAIT_HELD or GMEM_WAIT_IOCTL
 * @restarts: what needs it may fail with -EINTR, and be called again
 * @srcu: of GMEM_WAIT_IOCTL: what srcu_read_lock() returned
 */
struct gmem_own {
	struct kvm *kvm;
	enum gmem_wait_kind kind;
	bool restarts;
	int srcu;
};

/*
 * The vCPU's kvm->srcu is given up where the caller holds it by the vCPU. No caller holds it twice:
 * an update of memslots would wait for the answer then, as nobody wakes a GMEM_WAIT_OWN for it.
 */
static struct gmem_own gmem_own_of(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu = gmem_running_vcpu(kvm);

	return (struct gmem_own){
		.kvm = kvm,
		.kind = vcpu && vcpu->srcu_held ? GMEM_WAIT_OWN : GMEM_WAIT_HELD,
		.restarts = vcpu && vcpu->gmem_restarts,
	};
}

/*
 * Gives up kvm->srcu, where the access may. The wait has begun: see gmem_slot_serves().
 * To sparse it is always given up: it can't tell one kind from another.
 */
static void gmem_own_unlock(struct gmem_own *own, struct kvm_vcpu *vcpu)
	__releases(&own->kvm->srcu)
{
	if (own->kind == GMEM_WAIT_OWN) {
		vcpu->gmem_waits++;
		kvm_vcpu_srcu_read_unlock(vcpu);
	} else if (own->kind == GMEM_WAIT_IOCTL) {
		srcu_read_unlock(&own->kvm->srcu, own->srcu);
	} else {
		__release(&own->kvm->srcu);
	}
}

static void gmem_own_lock(struct gmem_own *own, struct kvm_vcpu *vcpu)
	__acquires(&own->kvm->srcu)
{
	if (own->kind == GMEM_WAIT_OWN)
		kvm_vcpu_srcu_read_lock(vcpu);
	else if (own->kind == GMEM_WAIT_IOCTL)
		own->srcu = srcu_read_lock(&own->kvm->srcu);
	else
		__acquire(&own->kvm->srcu);
}

/* Is there something else for the task of an ioctl to do than to wait? */
static bool gmem_ioctl_is_wanted(struct kvm *kvm)
{
	return signal_pending(current) || atomic_read(&kvm->move_in_progress);
}

static bool gmem_own_is_wanted(struct gmem_own *own)
{
	return own->restarts && gmem_ioctl_is_wanted(own->kvm);
}

/* Whoever has it restart is told. */
static bool gmem_own_gives_up(struct gmem_own *own)
{
	struct kvm_vcpu *vcpu = gmem_running_vcpu(own->kvm);

	if (!gmem_own_is_wanted(own))
		return false;
	if (vcpu)
		vcpu->gmem_gave_up = true;
	return true;
}

/* Is the loaded vCPU not to sleep? It is told that it would have. */
static bool gmem_vcpu_gives_up(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu = gmem_running_vcpu(kvm);

	if (!vcpu || !vcpu->gmem_nowait)
		return false;
	vcpu->gmem_gave_up = true;
	return true;
}

/* Is the ioctl to ask for its page, and no more than that? */
static bool gmem_ioctl_only_asks(struct gmem_own *own)
{
	return own->kind == GMEM_WAIT_IOCTL && gmem_vcpu_gives_up(own->kvm);
}

static unsigned int gmem_own_state(struct gmem_own *own)
{
	return own->restarts ? TASK_INTERRUPTIBLE : TASK_KILLABLE;
}

struct gmem_own_wait {
	struct gmem_own *own;
	struct gmem_wait *wait;
};

static bool gmem_own_wait_is_over(void *arg)
{
	struct gmem_own_wait *w = arg;

	return gmem_wait_is_over(w->wait) || fatal_signal_pending(current) ||
	       gmem_own_is_wanted(w->own);
}

/* Whatever wakes it, the caller looks at everything again. */
static void gmem_own_sleep(struct gmem_own *own, struct gmem_wait *wait)
{
	struct gmem_own_wait w = { .own = own, .wait = wait };

	might_sleep();
	gmem_wait_sleep(wait, gmem_own_state(own), MAX_SCHEDULE_TIMEOUT, gmem_own_wait_is_over,
			&w);
}

static void gmem_own_wait(struct gmem_own *own, struct kvm_memory_slot *slot, gfn_t gfn,
			  struct gmem_inode *gi, pgoff_t index, unsigned int rounds)
{
	struct kvm *kvm = own->kvm;
	struct gmem_wait wait = {
		.kvm = kvm, .vcpu = gmem_current_vcpu(kvm), .task = current, .rounds = rounds,
	};

	gmem_wait_init(&wait, own->kind, gi, index);
	gmem_wait_begin(&wait);
	if (gmem_slot_serves(kvm, slot, gfn, kvm_gmem_holds(kvm, slot, gfn))) {
		gmem_own_unlock(own, wait.vcpu);
		gmem_own_sleep(own, &wait);
		gmem_own_lock(own, wait.vcpu);
	}
	gmem_wait_end(&wait);
}

/*
 * One of KVM's own accesses waits. 0: look again, at the memslot too.
 *
 * A signal is no reason to fail, except where all starts over: KVM turns an access that
 * fails into MMIO, and the VMM makes up what was never in the guest's memory.
 */
static int gmem_wait_here(struct gmem_own *own, struct kvm_memory_slot *slot, gfn_t gfn)
{
	struct kvm *kvm = own->kvm;
	struct gmem_inode *gi;
	unsigned int rounds;
	pgoff_t index;
	int r;

	if (fatal_signal_pending(current) || gmem_own_gives_up(own))
		return -EINTR;
	if (kvm->vm_dead)
		return -EIO;

	gi = gmem_slot_get_inode(slot, gfn, &index);
	if (!gi)
		return -EFAULT;

	rounds = gmem_pager_rounds(gi);
	r = gmem_pager_ask(gi, index, kvm->userspace_pid, KVM_GMEM_FAULT_KVM);
	if (!r && !gmem_may_wait())
		r = -EBUSY;
	if (!r && gmem_ioctl_only_asks(own))
		r = -EINTR;
	if (!r)
		gmem_own_wait(own, slot, gfn, gi, index, rounds);
	iput(&gi->vfs_inode);
	return r;
}

/*
 * Between two tries of an access for which there was no memory. Nothing tells of memory that has
 * become free, in the task's memory cgroup or elsewhere, so this is a poll: a hundred tries a
 * second, each of which reclaims what it can, cost little beside that. What is known to end the
 * wait (SIGKILL, the VM's death, a move, memslots that change) wakes it at once.
 */
#define GMEM_MEMORY_PATIENCE	msecs_to_jiffies(10)

static void gmem_memory_sleep(struct gmem_own *own, struct gmem_wait *wait)
{
	set_current_state(gmem_own_state(own));
	/* Woken once it was in the VM's list: pairs with gmem_wake_in_vm(). */
	if (!READ_ONCE(wait->woken) && !READ_ONCE(own->kvm->vm_dead))
		schedule_timeout(GMEM_MEMORY_PATIENCE);
	__set_current_state(TASK_RUNNING);
}

/*
 * There was no memory for a page, or for asking for it: at the limit of the task's
 * memory cgroup, say, where nothing can be reclaimed or killed. KVM turns an access that
 * fails into MMIO or an exception, and the VMM or the guest would see what never was. So
 * it is tried again until there is memory, as the memory cgroup does for memory behind
 * userspace_addr. 0: try again.
 *
 * A kworker must not wait: nothing of the guest's depends on how its access ends. Nor does
 * an access that would keep kvm->srcu: none of these is an instruction's, and their callers
 * can fail, or have the page come before (kvm_gmem_await()).
 */
static int gmem_wait_for_memory(struct gmem_own *own)
{
	struct kvm *kvm = own->kvm;
	struct gmem_wait wait = {
		.kvm = kvm, .vcpu = gmem_current_vcpu(kvm), .task = current, .kind = own->kind,
	};

	if (!gmem_may_wait() || own->kind == GMEM_WAIT_HELD)
		return -ENOMEM;
	if (fatal_signal_pending(current) || gmem_own_gives_up(own) || gmem_ioctl_only_asks(own))
		return -EINTR;
	if (kvm->vm_dead)
		return -EIO;

	/* A move is to see that the vCPU is in the midst of an access. */
	gmem_wait_begin_in_vm(&wait);
	gmem_own_unlock(own, wait.vcpu);
	gmem_memory_sleep(own, &wait);
	gmem_own_lock(own, wait.vcpu);
	gmem_wait_end_in_vm(&wait);
	return 0;
}

/* One of KVM's own accesses got @error instead of a page. 0: look again. */
static int gmem_wait_or_fail(struct gmem_own *own, struct kvm_memory_slot *slot, gfn_t gfn,
			     int error)
{
	if (error == -ENODATA)
		error = gmem_wait_here(own, slot, gfn);
	return error == -ENOMEM ? gmem_wait_for_memory(own) : error;
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
 * Return: as kvm_gmem_get_pfn(), -EFAULT also where the memslot is about to go; -EAGAIN:
 * the memory is not in the inode any more; -EBUSY: the caller may not wait; -EINTR, -EIO
 * for a dead VM.
 */
int gmem_get_pfn_wait(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn, kvm_pfn_t *pfn)
{
	struct gmem_own own = { .kvm = kvm, .kind = GMEM_WAIT_HELD };
	bool private;
	int r;

	for (;;) {
		r = kvm_gmem_get_pfn(kvm, slot, gfn, pfn, NULL);
		if (!r)
			return 0;
		if (r == -ENODATA && gmem_vcpu_gives_up(kvm))
			return -EBUSY;
		r = gmem_wait_or_fail(&own, slot, gfn, r);
		if (r)
			return r;

		private = kvm_gmem_holds(kvm, slot, gfn);
		if (!gmem_slot_serves(kvm, slot, gfn, private))
			return private ? -EFAULT : -EAGAIN;
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
 * Return: as kvm_gmem_get_pfn(); -EAGAIN: it has waited, look again; -EBUSY: the caller may
 * not wait; -EINTR, -EIO for a dead VM.
 */
int gmem_get_pfn_or_wait(struct kvm *kvm, struct kvm_memory_slot **slot, gfn_t gfn,
			 kvm_pfn_t *pfn)
{
	struct gmem_own own = gmem_own_of(kvm);
	int as_id = (*slot)->as_id;
	int r;

	r = kvm_gmem_get_pfn(kvm, *slot, gfn, pfn, NULL);
	if (r != -ENODATA && r != -ENOMEM)
		return r;

	r = gmem_wait_or_fail(&own, *slot, gfn, r);
	*slot = __gfn_to_memslot(__kvm_memslots(kvm, as_id), gfn);
	return r ? : -EAGAIN;
}

/* One look for the page, or one wait for it: -EAGAIN then. */
static int gmem_await_once(struct gmem_own *own, gfn_t gfn)
{
	struct kvm_memory_slot *slot;
	kvm_pfn_t pfn;
	int r;

	slot = gfn_to_memslot(own->kvm, gfn);
	if (!kvm_gmem_holds(own->kvm, slot, gfn) || slot->flags & KVM_MEMSLOT_INVALID)
		return 0;

	r = kvm_gmem_get_pfn(own->kvm, slot, gfn, &pfn, NULL);
	if (!r)
		put_page(pfn_to_page(pfn));
	if (r != -ENODATA && r != -ENOMEM)
		return r;
	return gmem_wait_or_fail(own, slot, gfn, r) ? : -EAGAIN;
}

/**
 * kvm_gmem_await_ioctl() - an ioctl has a page come before it begins
 * @kvm: the VM
 * @gpa: an address in it, or INVALID_GPA
 *
 * Ahead of an access that could only wait with kvm->srcu held, deaf to signals. A move, too, ends
 * the wait. With vcpu->gmem_nowait of the loaded vCPU it does not begin: the page is asked for.
 *
 * Context: An ioctl that has changed nothing yet; nothing is held but vcpu->mutex.
 * Return: -EINTR; else 0, also where the page can't be had: that is for the access to find out.
 */
int kvm_gmem_await_ioctl(struct kvm *kvm, gpa_t gpa)
{
	struct gmem_own own = { .kvm = kvm, .kind = GMEM_WAIT_IOCTL, .restarts = true };
	int r;

	do {
		own.srcu = srcu_read_lock(&kvm->srcu);
		r = gmem_await_once(&own, gpa_to_gfn(gpa));
		srcu_read_unlock(&kvm->srcu, own.srcu);
	} while (r == -EAGAIN);

	return r == -EINTR ? r : 0;
}

/**
 * kvm_gmem_translate() - KVM_TRANSLATE walks page tables
 * @vcpu: the vCPU, loaded
 * @gva: where to
 * @gpa: where the address goes, or INVALID_GPA
 *
 * The walk changes nothing but accessed bits, which it finds set when it is made again.
 *
 * Context: An ioctl of @vcpu; waits for the pager, without kvm->srcu.
 * Return: 0; -EINTR where a signal or a move has ended the walk; -EIO where the VM has died.
 */
int kvm_gmem_translate(struct kvm_vcpu *vcpu, gva_t gva, gpa_t *gpa)
{
	vcpu->gmem_gave_up = false;
	vcpu->gmem_restarts = true;
	kvm_vcpu_srcu_read_lock(vcpu);
	*gpa = kvm_mmu_gva_to_gpa_system(vcpu, gva, NULL);
	kvm_vcpu_srcu_read_unlock(vcpu);
	vcpu->gmem_restarts = false;

	if (*gpa != INVALID_GPA)
		return 0;
	if (vcpu->gmem_gave_up)
		return -EINTR;
	return READ_ONCE(vcpu->kvm->vm_dead) ? -EIO : 0;
}
