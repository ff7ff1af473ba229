/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An SEV or SEV-ES VM on raw ioctls, with a page or more of memory at 0.
 */
#ifndef GMEM_TESTS_SEV_VM_H
#define GMEM_TESTS_SEV_VM_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

struct owner;

#define VM_PAGE		4096
#define VM_PAGES	8

/**
 * struct vm - a VM
 * @kvm:    /dev/kvm
 * @fd:     the VM
 * @sev:    /dev/sev
 * @view:   its view of a guest memory inode, or -1
 * @memory: VM_PAGES pages of guest memory, at guest physical address 0; of the
 *	    inode, if there is one
 */
struct vm {
	int kvm;
	int fd;
	int sev;
	int view;
	uint8_t *memory;
};

/* False: KVM has no ASID left. */
bool vm_try_create(struct vm *vm, bool es);
void vm_create(struct vm *vm, bool es);
/* Its memory is a guest memory inode that the host may map. */
void vm_create_on_gmem(struct vm *vm, bool es);
void vm_destroy(struct vm *vm);

/* Make a VM that @source can be moved to: the same memory, no encryption of its own. */
void vm_create_destination(struct vm *vm, const struct vm *source, bool es);
/* The parts of that: a VM without memory; the view of @source's, if it has one; the memslot. */
void vm_create_bare(struct vm *vm, bool es);
void vm_link(struct vm *vm, const struct vm *source);
void vm_add_slot(struct vm *vm, uint64_t gpa);
void vm_delete_slot(struct vm *vm);
/* KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM: 0 or -errno. */
int vm_try_move(struct vm *dst, const struct vm *src);
/* KVM_CAP_VM_COPY_ENC_CONTEXT_FROM: 0 or -errno. */
int vm_try_mirror(struct vm *mirror, const struct vm *owner);

/* KVM_MEMORY_ENCRYPT_OP: returns what the firmware said. */
unsigned int vm_sev(struct vm *vm, int id, void *data);

/* KVM_SEV_LAUNCH_START, with the session of @owner unless that is NULL. */
unsigned int vm_start(struct vm *vm, struct owner *owner, uint32_t policy);
unsigned int vm_update(struct vm *vm, void *from, uint32_t size);
unsigned int vm_measure(struct vm *vm, void *measurement, uint32_t size);

/* vCPU 0, or another, and its run page. */
struct kvm_run *vm_add_vcpu(struct vm *vm, int *vcpu);
struct kvm_run *vm_add_vcpu_id(struct vm *vm, int id, int *vcpu);

#endif /* GMEM_TESTS_SEV_VM_H */
