/* SPDX-License-Identifier: GPL-2.0-only */
/* KVM's own accesses wait for a page that a pager owes. */
#ifndef __KVM_GMEM_ACCESS_WAIT_H
#define __KVM_GMEM_ACCESS_WAIT_H

#include <linux/kvm_host.h>

/* wait.c */
int gmem_get_pfn_wait(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn, kvm_pfn_t *pfn);
int gmem_get_pfn_or_wait(struct kvm *kvm, struct kvm_memory_slot **slot, gfn_t gfn,
			 kvm_pfn_t *pfn);

#endif /* __KVM_GMEM_ACCESS_WAIT_H */
