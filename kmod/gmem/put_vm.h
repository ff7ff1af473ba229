/* SPDX-License-Identifier: GPL-2.0-only */
/* The last reference to a VM, in the context of somebody who has nothing to do with it. */
#ifndef __KVM_GMEM_PUT_VM_H
#define __KVM_GMEM_PUT_VM_H

#include <linux/types.h>

struct kvm;
struct module;

/* put_vm.c */
bool kvm_gmem_get_owner(void);
void gmem_keep_owner(void);
void kvm_gmem_put_owner(void);
void kvm_gmem_put_vm(struct kvm *kvm);
bool gmem_is_own_vmm(const struct kvm *kvm);
int gmem_put_init(struct module *module);
void gmem_put_exit(void);

#endif /* __KVM_GMEM_PUT_VM_H */
