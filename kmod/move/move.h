/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Moving a VM's context to another VM of the same host.
 *
 * Files
 *
 *   enable_cap.c	KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM: which VM, who does it
 *   vms.c		one move of two VMs, from the first lock to the last
 *   memory.c		the part that every VM with private memory has
 *   tables.h		stage-2 tables, which the destination takes: tables.c
 *   vcpus.h		the vCPUs and what goes with them, in files of their own
 *
 * A move is locks, checks and allocations, any of which can fail and leaves
 * both VMs as they were; then a commit that can't fail. Lock order, each kind
 * for the destination first and then for the source:
 *
 *   kvm->move_in_progress	of both, or -EBUSY
 *     kvm->lock		the source's in a lockdep subclass of its own
 *       vcpu->mutex		of every vCPU: tried for, as the next two are,
 *         kvm->slots_lock	until a deadline of the whole move. So lockdep
 *           kvm->populate_lock	needs no subclass, and sees no order
 *             kvm->mmu_lock	of both only where the destination takes tables
 *
 * A move sets both flags before it waits for any lock, and so does everything
 * else that locks two VMs: SEV's moves and its mirror copies. A VM takes part
 * in one of them at a time, and two of them never wait for each other,
 * whichever way round each locks its VMs.
 */
#ifndef __KVM_MOVE_H
#define __KVM_MOVE_H

#include <linux/kvm_host.h>

struct kvm_sev_info;
struct vcpu_svm;

/* Lockdep subclasses, where the destination's lock is the plain one. */
enum kvm_move_subclass {
	KVM_MOVE_DESTINATION,
	KVM_MOVE_SOURCE,
	/* vCPUs after a VM's first one */
	KVM_MOVE_OTHER_VCPUS,
};

/* What became of a VM, for anybody who holds something of it. */
enum kvm_move_state {
	KVM_MOVE_ALIVE,		/* its guest is its own */
	KVM_MOVE_MOVED,		/* another VM has its guest */
	KVM_MOVE_BROKEN,	/* KVM has given it up, and its guest with it */
};

/**
 * kvm_move_state_of() - what became of a VM?
 * @kvm: the VM
 *
 * A move's source is KVM_MOVE_MOVED before any vCPU of the destination can
 * enter the guest, and only if the move succeeds.
 *
 * Context: Any.
 * Return: its state; KVM_MOVE_ALIVE can be over when this returns, the others
 * are for good.
 */
static inline enum kvm_move_state kvm_move_state_of(struct kvm *kvm)
{
	if (!READ_ONCE(kvm->vm_dead))
		return KVM_MOVE_ALIVE;

	smp_rmb(); /* pairs with kvm_move_memory_commit() */
	return READ_ONCE(kvm->moved_from) ? KVM_MOVE_MOVED : KVM_MOVE_BROKEN;
}

/* enable_cap.c */
int kvm_move_check_extension(struct kvm *kvm);
bool kvm_move_can_move_vcpus(struct kvm *kvm);
int kvm_move_context_from(struct kvm *kvm, const struct kvm_enable_cap *cap);

/* vms.c */
void kvm_move_wake_vcpus(struct kvm *kvm);
void kvm_move_start_clock(struct kvm *dst, struct kvm *src);
int kvm_move_lock_vcpu(struct kvm_vcpu *vcpu);
int kvm_move_lock_memory(struct kvm *kvm);
int kvm_move_vms(struct kvm *dst, struct kvm *src, u64 flags);

/* memory.c */
bool kvm_move_has_gmem(struct kvm *kvm);
int kvm_move_memory_prepare(struct kvm *dst, struct kvm *src);
void kvm_move_memory_commit(struct kvm *dst, struct kvm *src);
bool kvm_move_memory_finish(struct kvm *dst, struct kvm *src);

/* irqfds.c */
void kvm_move_end_irqfds(struct kvm *src);

/* irqchip.c */
int kvm_move_hold_irqs(struct kvm *src);
void kvm_move_release_irqs(struct kvm *src);
bool kvm_move_silence(struct kvm *kvm);

/* pv.c */
void kvm_move_arm_vcpu(struct kvm_vcpu *vcpu);

/* svm.c */
int svm_vcpu_move_prepare(struct kvm_vcpu *dst, struct kvm_vcpu *src);
void svm_vcpu_move(struct kvm_vcpu *dst, struct kvm_vcpu *src);
void svm_move_msr_intercepts(struct vcpu_svm *d, const struct vcpu_svm *s);

/* vmx.c */
int vmx_vcpu_move_prepare(struct kvm_vcpu *dst, struct kvm_vcpu *src);
u32 vmx_exit_insn_len(struct kvm_vcpu *vcpu);
void vmx_vcpu_move_read(struct kvm_vcpu *src);
void vmx_vcpu_move(struct kvm_vcpu *dst, struct kvm_vcpu *src);

/* sev.c */
void sev_hold_psp(struct kvm_sev_info *sev, struct file *psp, int error);
void sev_put_psp(struct kvm_sev_info *sev);
bool sev_was_moved(struct kvm *kvm);
bool sev_needs_cache_flush(struct kvm *kvm);
bool sev_move_is_fresh(struct kvm *kvm);
void sev_es_move_vcpu(struct kvm_vcpu *dst, struct kvm_vcpu *src);
void sev_move_derive(struct kvm *kvm);

#endif /* __KVM_MOVE_H */
