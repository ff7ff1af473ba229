/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A successor: a VM on the same memory as another, to which that one's vCPUs
 * are moved. Both are in this process, so a memslot's address serves both.
 */
#ifndef GMEM_TESTS_SUCCESSOR_H
#define GMEM_TESTS_SUCCESSOR_H

#include <linux/kvm_gmem.h>

#include "kvm_util.h"
#include "processor.h"

/* The types of VM whose vCPUs can be moved. */
#define TYPES(type)	for (unsigned long type = KVM_X86_DEFAULT_VM;		\
			     type <= KVM_X86_SW_PROTECTED_VM; type++)

/* Skips where these modules don't move vCPUs. */
void require_move_vcpus(void);

/* A VM of @type with one vCPU that will run @guest; an in-kernel irqchip is there. */
struct kvm_vcpu *ancestor(unsigned long type, void *guest);

/*
 * A VM of the same type, memslots, irqchip, vCPU ids and CPUID as @src's, not
 * moved to yet: the vCPU of @src's id. A view of each guest memory inode is linked.
 */
struct kvm_vcpu *successor(struct kvm_vcpu *src);

/* The same in parts, for those who want a VM that does not match. */
struct kvm_vm *successor_vm(struct kvm_vm *src);
struct kvm_vcpu *successor_vcpu(struct kvm_vm *dst, struct kvm_vcpu *src, uint32_t id);

/* KVM_MOVE_VCPUS: 0, or -1 with errno. */
int __move_vcpus(struct kvm_vm *dst, struct kvm_vm *src);
void move_vcpus(struct kvm_vm *dst, struct kvm_vm *src);

/* Makes a successor, moves to it and closes what is left of @src. */
struct kvm_vcpu *succeed(struct kvm_vcpu *src);

/* Closes the fds of a VM that was moved, of which nothing can be asked any more. */
void close_vm(struct kvm_vm *vm);

/* KVM_RUN once: 0, or errno. */
int run_once(struct kvm_vcpu *vcpu);

/* Has KVM give the VM up, by one of its vCPUs. */
void break_vm(struct kvm_vcpu *vcpu);

/* The guest's last exit was GUEST_DONE(); a failed assertion of the guest is the claim's. */
void expect_done(struct kvm_vcpu *vcpu);

#endif /* GMEM_TESTS_SUCCESSOR_H */
