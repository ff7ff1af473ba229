// SPDX-License-Identifier: GPL-2.0-only
/*
 * One move of two VMs, from the first lock to the last.
 */
#include <linux/delay.h>
#include <linux/kvm_host.h>
#include <linux/wait_bit.h>

#include <linux/kvm_gmem.h>

#include "x86.h"

#include "../gmem/access.h"
#include "move.h"
#include "vcpus.h"

/*
 * How long a move waits for one vCPU, or for memslots, where a pager is waited for; for all vCPUs
 * of which that is so; for all that it waits for, whatever that is; and how often it looks.
 */
#define KVM_MOVE_PATIENCE_US	(50 * USEC_PER_MSEC)
#define KVM_MOVE_ALL_PATIENCE_US	(500 * USEC_PER_MSEC)
#define KVM_MOVE_LIMIT_US	(10 * USEC_PER_SEC)
#define KVM_MOVE_POLL_MIN_US	10LL
#define KVM_MOVE_POLL_MAX_US	1000LL

static int kvm_move_begin(struct kvm *dst, struct kvm *src)
{
	if (atomic_cmpxchg_acquire(&dst->move_in_progress, 0, 1))
		return -EBUSY;

	if (atomic_cmpxchg_acquire(&src->move_in_progress, 0, 1)) {
		atomic_set_release(&dst->move_in_progress, 0);
		return -EBUSY;
	}
	return 0;
}

/**
 * kvm_move_wake_vcpus() - have vCPUs that wait for a pager leave to userspace
 * @kvm: the VM, whose move_in_progress the caller has set
 *
 * They hold their mutex, which a move needs: see kvm_gmem_wait().
 *
 * Context: kvm->lock is held.
 */
void kvm_move_wake_vcpus(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	lockdep_assert_held(&kvm->lock);

	kvm_for_each_vcpu(i, vcpu, kvm)
		kvm_vcpu_wake_up(vcpu);
	kvm_gmem_wake_waits(kvm);
}
EXPORT_SYMBOL_GPL(kvm_move_wake_vcpus);

/**
 * kvm_move_start_clock() - from now on two VMs' vCPUs stand still, one after the other
 * @dst: the destination
 * @src: the source
 *
 * All that a move waits for afterwards has one deadline.
 *
 * Context: kvm->lock of both is held.
 */
void kvm_move_start_clock(struct kvm *dst, struct kvm *src)
{
	lockdep_assert_held(&dst->lock);
	lockdep_assert_held(&src->lock);

	dst->move_begun = ktime_get();
	src->move_begun = dst->move_begun;
}
EXPORT_SYMBOL_GPL(kvm_move_start_clock);

static void kvm_move_end(struct kvm *dst, struct kvm *src)
{
	atomic_set_release(&src->move_in_progress, 0);
	atomic_set_release(&dst->move_in_progress, 0);
}

/*
 * Unlocks the first @nr vCPUs. Lockdep knows of the first one only, see
 * kvm_move_lock_vcpus(): tell it of each other one before it is unlocked.
 */
static void kvm_move_unlock_vcpus(struct kvm *kvm, unsigned long nr)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (i == nr)
			break;
		if (i)
			mutex_acquire(&vcpu->mutex.dep_map, KVM_MOVE_OTHER_VCPUS, 0, _THIS_IP_);
		mutex_unlock(&vcpu->mutex);
	}
}

/**
 * kvm_move_let_pass() - an ioctl lets a move go first
 * @vcpu: the vCPU whose mutex the ioctl is about to take
 *
 * A task that tries for a mutex, and does not queue for it, may never get it from threads
 * that do. So while a move tries, later ioctls wait here. Those that were in the queue
 * before, one for each thread at most, go first.
 *
 * Context: An ioctl of the vCPU, no lock held.
 * Return: 0; -EINTR by a fatal signal.
 */
int kvm_move_let_pass(struct kvm_vcpu *vcpu)
{
	if (likely(!READ_ONCE(vcpu->move_waits)))
		return 0;

	return wait_var_event_killable(&vcpu->move_waits, !READ_ONCE(vcpu->move_waits)) ?
	       -EINTR : 0;
}

static void kvm_move_pause(s64 waited_us)
{
	s64 pause = clamp(waited_us / 4, KVM_MOVE_POLL_MIN_US, KVM_MOVE_POLL_MAX_US);

	usleep_range_state(pause, 2 * pause, TASK_KILLABLE);
}

static s64 kvm_move_age_us(struct kvm *kvm, ktime_t now)
{
	return ktime_us_delta(now, kvm->move_begun);
}

/*
 * The patience begins with each vCPU: one that has only just begun to wait may have its page
 * soon. But many such make a long move, too. An access that tries again waits with breaks, so
 * one look at it tells.
 */
static bool kvm_move_is_in_vain(struct kvm_vcpu *vcpu, s64 waited_us, s64 moving_us)
{
	if (moving_us > KVM_MOVE_LIMIT_US)
		return true;

	return kvm_gmem_vcpu_waits(vcpu) && (waited_us > KVM_MOVE_PATIENCE_US ||
					     moving_us > KVM_MOVE_ALL_PATIENCE_US);
}

static int kvm_move_try_vcpu(struct kvm_vcpu *vcpu)
{
	ktime_t first = ktime_get();

	while (!mutex_trylock(&vcpu->mutex)) {
		ktime_t now = ktime_get();
		s64 waited = ktime_us_delta(now, first);

		if (fatal_signal_pending(current))
			return -EINTR;
		if (kvm_move_is_in_vain(vcpu, waited, kvm_move_age_us(vcpu->kvm, now)))
			return -EBUSY;
		kvm_move_pause(waited);
	}
	return 0;
}

/**
 * struct kvm_move_vm_lock - a lock of a VM that a move takes, and does not queue for
 * @trylock: takes it, if it is free
 * @in_vain: does a pager keep whoever has it? NULL: nobody who has it waits for one
 */
struct kvm_move_vm_lock {
	bool (*trylock)(struct kvm *kvm);
	bool (*in_vain)(struct kvm *kvm);
};

static bool kvm_move_trylock_slots(struct kvm *kvm)
{
	return mutex_trylock(&kvm->slots_lock);
}

/*
 * An update of memslots waits with slots_lock for all accesses that hold kvm->srcu. One that waits
 * for a pager ends when the pager answers.
 */
static bool kvm_move_slots_are_in_vain(struct kvm *kvm)
{
	return READ_ONCE(kvm->gmem_held_waits);
}

static bool kvm_move_trylock_populate(struct kvm *kvm)
{
	return down_write_trylock(&kvm->populate_lock);
}

static const struct kvm_move_vm_lock kvm_move_slots = {
	kvm_move_trylock_slots, kvm_move_slots_are_in_vain,
};

static const struct kvm_move_vm_lock kvm_move_populate = { kvm_move_trylock_populate, NULL };

static int kvm_move_try(struct kvm *kvm, const struct kvm_move_vm_lock *lock)
{
	ktime_t first = ktime_get();

	while (!lock->trylock(kvm)) {
		ktime_t now = ktime_get();
		s64 waited = ktime_us_delta(now, first);

		if (fatal_signal_pending(current))
			return -EINTR;
		if (kvm_move_age_us(kvm, now) > KVM_MOVE_LIMIT_US)
			return -EBUSY;
		if (waited > KVM_MOVE_PATIENCE_US && lock->in_vain && lock->in_vain(kvm))
			return -EBUSY;
		kvm_move_pause(waited);
	}
	return 0;
}

static int kvm_move_lock(struct kvm *kvm, const struct kvm_move_vm_lock *lock)
{
	int r;

	if (lock->trylock(kvm))
		return 0;

	WRITE_ONCE(kvm->move_waits, true);
	r = kvm_move_try(kvm, lock);
	WRITE_ONCE(kvm->move_waits, false);
	/* As in kvm_move_lock_vcpu(). */
	smp_mb();
	wake_up_var(&kvm->move_waits);
	return r;
}

/**
 * kvm_move_lock_memory() - lock what keeps the memory of a VM that is moved, or moved to
 * @kvm: the VM
 *
 * An update of memslots waits with slots_lock for all accesses that hold kvm->srcu, of which one
 * may wait for a pager, or in a host fault; a task that populates waits with populate_lock for a
 * hole, a conversion, memory. Meanwhile all vCPUs of two VMs stand still.
 *
 * Context: kvm->lock is held, and the VM's move_in_progress set.
 * Return: 0 with slots_lock, and populate_lock for writing; -EBUSY where one of them takes
 * long; -EINTR by a fatal signal.
 */
int kvm_move_lock_memory(struct kvm *kvm)
{
	int r = kvm_move_lock(kvm, &kvm_move_slots);

	if (r)
		return r;

	r = kvm_move_lock(kvm, &kvm_move_populate);
	if (r)
		mutex_unlock(&kvm->slots_lock);
	return r;
}

/**
 * kvm_move_let_slots_pass() - let a move go first that wants slots_lock or populate_lock
 * @kvm: the VM whose lock is about to be taken
 *
 * As kvm_move_let_pass(): what comes later than a move finds the VM as the move leaves it.
 *
 * Context: Process context, no lock held.
 * Return: 0; -EINTR by a fatal signal.
 */
int kvm_move_let_slots_pass(struct kvm *kvm)
{
	if (likely(!READ_ONCE(kvm->move_waits)))
		return 0;

	return wait_var_event_killable(&kvm->move_waits, !READ_ONCE(kvm->move_waits)) ?
	       -EINTR : 0;
}

/**
 * kvm_move_let_ioctl_pass() - an ioctl of a VM lets a move go first, if it takes slots_lock
 * @kvm: the VM
 * @ioctl: its number
 *
 * All that takes slots_lock in Linux 6.12:
 *
 *   these ioctls			here
 *   a view's ioctls			in kmod/gmem: kvm_move_let_slots_pass()
 *   a view's release			tries, and not while a move waits
 *   KVM_GUEST_MEMFD_POPULATE, a	populate_lock: likewise
 *   view's write(2), a handle's
 *   KVM_CREATE_IRQCHIP, _PIT, _PIT2,	take kvm->lock first, which the move has; so does
 *   KVM_SET_IDENTITY_MAP_ADDR		KVM_SEV_SNP_LAUNCH_UPDATE
 *   KVM_CREATE_VCPU			is counted with kvm->lock: no move begins meanwhile
 *   KVM_RUN and a vCPU's ioctls, which	take vcpu->mutex first, which the move has
 *   allocate or inhibit the APIC page
 *   KVM_ENABLE_CAP of a dirty ring	not on x86 (CONFIG_NEED_KVM_DIRTY_RING_WITH_BITMAP)
 *   with a bitmap
 *   the VM's end			has no move
 *   an address space's end		tries once
 *   kvm.nx_huge_pages, debugfs'	are root's
 *   mmu_rmaps_stat
 *
 * Context: An ioctl of the VM, no lock held.
 * Return: 0; -EINTR by a fatal signal.
 */
int kvm_move_let_ioctl_pass(struct kvm *kvm, unsigned int ioctl)
{
	switch (ioctl) {
	case KVM_SET_USER_MEMORY_REGION:
	case KVM_SET_USER_MEMORY_REGION2:
	case KVM_SET_MEMORY_ATTRIBUTES:
	case KVM_GET_DIRTY_LOG:
	case KVM_CLEAR_DIRTY_LOG:
	case KVM_RESET_DIRTY_RINGS:
	case KVM_IOEVENTFD:
	case KVM_REGISTER_COALESCED_MMIO:
	case KVM_UNREGISTER_COALESCED_MMIO:
	case KVM_SET_NR_MMU_PAGES:
	case KVM_SET_TSS_ADDR:
		return kvm_move_let_slots_pass(kvm);
	default:
		return 0;
	}
}

/**
 * kvm_move_lock_vcpu() - lock a vCPU of a VM that is moved, or moved to
 * @vcpu: the vCPU
 *
 * One that runs leaves to userspace. But one that is in an access of KVM's own which
 * waits for a pager does so when the pager answers, and the locks of two VMs are held
 * here. Hence not by mutex_lock(), in which there is no way to notice. The move does
 * not wait without end either for a vCPU in an ioctl that waits for something else.
 *
 * Context: kvm->lock is held, the VM's move_in_progress set, and its move_begun.
 * Return: 0; -EBUSY where the vCPU waits so for long, or the whole move has waited too
 * long; -EINTR by a fatal signal.
 */
int kvm_move_lock_vcpu(struct kvm_vcpu *vcpu)
{
	int r;

	if (mutex_trylock(&vcpu->mutex))
		return 0;

	WRITE_ONCE(vcpu->move_waits, true);
	r = kvm_move_try_vcpu(vcpu);
	WRITE_ONCE(vcpu->move_waits, false);
	/* A sleeper in kvm_move_let_pass() was put into the queue before it looked. */
	smp_mb();
	wake_up_var(&vcpu->move_waits);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_move_lock_vcpu);

/*
 * Waits for vCPUs that are running: they hold their mutex until they leave to
 * userspace. There may be more of them than lockdep can keep account of, so it
 * is told that all but the first are let go at once. That kvm->lock is held is
 * what makes the order among them irrelevant.
 */
static int kvm_move_lock_vcpus(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r;

	lockdep_assert_held(&kvm->lock);

	kvm_move_wake_vcpus(kvm);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		r = kvm_move_lock_vcpu(vcpu);
		if (r) {
			kvm_move_unlock_vcpus(kvm, i);
			return r;
		}
		if (i)
			mutex_release(&vcpu->mutex.dep_map, _THIS_IP_);
	}
	return 0;
}

/* With kvm->lock of both: a vCPU that is not online yet can't become so. */
static int kvm_move_check_vms(struct kvm *dst, struct kvm *src)
{
	if (dst->vm_dead || src->vm_dead)
		return -EIO;

	if (dst->arch.vm_type != src->arch.vm_type)
		return -EINVAL;

	if (kvm_is_vcpu_creation_in_progress(dst) || kvm_is_vcpu_creation_in_progress(src))
		return -EBUSY;

	return 0;
}

/* With the vCPUs locked: they can't begin to run. */
static int kvm_move_check_fresh(struct kvm *dst)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, dst) {
		if (kvm_vcpu_has_run(vcpu))
			return -EINVAL;
	}
	return 0;
}

/* All locks but slots_lock are held, all checks made but those of each part. */
static int kvm_move_parts(struct kvm *dst, struct kvm *src, u64 flags)
{
	struct kvm_move_vcpus vcpus;
	bool pit_armed;
	int r;

	if (flags & KVM_MOVE_VCPUS) {
		r = kvm_move_vcpus_prepare(&vcpus, dst, src);
		if (r)
			return r;
	}

	r = kvm_move_memory_prepare(dst, src);
	if (r) {
		if (flags & KVM_MOVE_VCPUS)
			kvm_move_vcpus_undo(&vcpus);
		return r;
	}

	kvm_move_memory_commit(dst, src);
	pit_armed = kvm_move_memory_finish(dst, src);
	if (flags & KVM_MOVE_VCPUS)
		kvm_move_vcpus_commit(&vcpus, dst, src, pit_armed);
	kvm_move_release_irqs(src);
	return 0;
}

static int kvm_move_locked(struct kvm *dst, struct kvm *src, u64 flags)
{
	int r;

	r = kvm_move_check_vms(dst, src);
	if (r)
		return r;

	r = kvm_move_lock_vcpus(dst);
	if (r)
		return r;

	r = kvm_move_lock_vcpus(src);
	if (r)
		goto out_dst;

	r = kvm_move_check_fresh(dst);
	if (!r)
		r = kvm_move_parts(dst, src, flags);

	kvm_move_unlock_vcpus(src, ULONG_MAX);
out_dst:
	kvm_move_unlock_vcpus(dst, ULONG_MAX);
	return r;
}

/**
 * kvm_move_vms() - move the context of one VM to another
 * @dst: the destination
 * @src: the source, dead afterwards
 * @flags: KVM_MOVE_VCPUS, or none
 *
 * Context: Process context, may sleep, no lock held; the caller holds a
 * reference to each VM.
 * Return: 0, or -errno with nothing changed: see kvm_move_context_from().
 */
int kvm_move_vms(struct kvm *dst, struct kvm *src, u64 flags)
{
	int r;

	if (dst == src)
		return -EINVAL;

	r = kvm_move_begin(dst, src);
	if (r)
		return r;

	r = -EINTR;
	if (mutex_lock_killable(&dst->lock))
		goto out_end;
	if (mutex_lock_killable_nested(&src->lock, KVM_MOVE_SOURCE))
		goto out_dst;

	kvm_move_start_clock(dst, src);
	r = kvm_move_locked(dst, src, flags);

	mutex_unlock(&src->lock);
out_dst:
	mutex_unlock(&dst->lock);
out_end:
	kvm_move_end(dst, src);
	return r;
}
