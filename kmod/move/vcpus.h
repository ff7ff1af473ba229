/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Moving vCPUs and what goes with them: KVM_MOVE_VCPUS.
 *
 * Files
 *
 *   vcpus.c	all vCPUs of two VMs, in pairs of the same id
 *   match.c	what must be equal before anything moves
 *   vcpu.c	one vCPU: registers, FPU, MSRs, events
 *   exit.c	an exit to userspace that is not completed
 *   clock.c	TSC and kvmclock
 *   irqchip.c	LAPIC, IOAPIC, PIC and PIT, and silence before they are read
 *   pv.c	areas shared with the guest, armed at the first KVM_RUN
 *   svm.c	what AMD's vendor code keeps; part of kvm-amd.ko
 *   vmx.c	what Intel's keeps; part of kvm-intel.ko
 *   sev.c	what goes along with an SEV or SEV-ES context; likewise
 *
 * State is copied inside the kernel from one structure to the other, as it is,
 * not by way of KVM's getters and setters: those lose what userspace does not
 * get to see, touch guest memory, and can fail. So whatever can fail is done
 * before: checks and allocations. What is derived from the state is derived
 * anew in the destination. docs/move.md has a table of all state.
 *
 * "Prepare" functions can fail and are undone; "copy" functions can't fail.
 * The latter run with kvm->lock and all vcpu->mutex of both VMs held, after the
 * source was declared dead.
 */
#ifndef __KVM_MOVE_VCPUS_H
#define __KVM_MOVE_VCPUS_H

#include <linux/kvm_host.h>

/**
 * struct kvm_move_pair - a vCPU of the source and its like in the destination
 * @dst: the destination's, which has not run
 * @src: the source's, of the same vcpu_id
 * @woken: a wake-up of all tasks that wait for an async page fault was put on
 *	   @dst's list of completions
 */
struct kvm_move_pair {
	struct kvm_vcpu *dst;
	struct kvm_vcpu *src;
	bool woken;
};

/**
 * struct kvm_move_vcpus - what the move of all vCPUs needs
 * @nr: how many
 * @pairs: one for each vCPU
 * @lapic: room for a LAPIC's registers
 */
struct kvm_move_vcpus {
	unsigned long nr;
	struct kvm_move_pair *pairs;
	struct kvm_lapic_state *lapic;
};

/* vcpus.c */
int kvm_move_vcpus_prepare(struct kvm_move_vcpus *vcpus, struct kvm *dst, struct kvm *src);
void kvm_move_vcpus_undo(struct kvm_move_vcpus *vcpus);
void kvm_move_vcpus_commit(struct kvm_move_vcpus *vcpus, struct kvm *dst, struct kvm *src,
			   bool pit_armed);

/* match.c */
bool kvm_move_vms_match(struct kvm *dst, struct kvm *src);
bool kvm_move_vcpus_match(struct kvm_vcpu *dst, struct kvm_vcpu *src);

/* vcpu.c */
void kvm_move_copy_vcpu(struct kvm_vcpu *dst, struct kvm_vcpu *src);
void kvm_move_copy_rflags(struct kvm_vcpu *dst, struct kvm_vcpu *src);
void kvm_move_copy_protected(struct kvm_vcpu *dst, struct kvm_vcpu *src);
void kvm_move_derive_mmu(struct kvm_vcpu *vcpu);

/* exit.c */
void kvm_move_copy_exit(struct kvm_vcpu *dst, struct kvm_vcpu *src);
void kvm_move_copy_coalesced(struct kvm *dst, struct kvm *src);

/* clock.c */
void kvm_move_copy_vm_clock(struct kvm *dst, struct kvm *src);
void kvm_move_copy_vcpu_clock(struct kvm_vcpu *dst, struct kvm_vcpu *src);

/* irqchip.c */
bool kvm_move_lapic_fits(struct kvm_vcpu *dst, struct kvm_vcpu *src);
bool kvm_move_stop_lapic_timer(struct kvm_vcpu *src);
void kvm_move_copy_lapic(struct kvm_vcpu *dst, struct kvm_vcpu *src,
			 struct kvm_lapic_state *state, bool armed);
void kvm_move_copy_irqchip(struct kvm *dst, struct kvm *src, bool pit_armed);

/* pv.c */
int kvm_move_wake_all(struct kvm_move_pair *pair);
void kvm_move_undo_wake_all(struct kvm_move_pair *pair);
void kvm_move_copy_pv(struct kvm_vcpu *dst, struct kvm_vcpu *src);

#endif /* __KVM_MOVE_VCPUS_H */
