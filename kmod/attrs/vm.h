/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM's memory attributes, kept by ranges of gfns.
 */
#ifndef __KVM_ATTRS_VM_H
#define __KVM_ATTRS_VM_H

#include <linux/kvm_host.h>

#include "ranges.h"

void kvm_attrs_destroy_vm(struct kvm *kvm);
u64 kvm_supported_mem_attributes(struct kvm *kvm);
void kvm_attrs_moved(struct kvm *kvm, struct kvm_memory_slot *slot);
void kvm_attrs_rest_mmu_lock(struct kvm *kvm);
bool kvm_attrs_clear_mixed(struct kvm *kvm, struct kvm_gfn_range *range);
int kvm_vm_ioctl_set_mem_attributes(struct kvm *kvm, struct kvm_memory_attributes *attrs);

/* For writers: slots_lock keeps both the map and what is in it. */
static inline struct gmem_ranges *kvm_attrs_locked(struct kvm *kvm)
{
	return rcu_dereference_protected(kvm->mem_attrs,
					 lockdep_is_held(&kvm->slots_lock));
}

#endif /* __KVM_ATTRS_VM_H */
