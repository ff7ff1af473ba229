/* SPDX-License-Identifier: GPL-2.0-only */
/* What depends on the type of an x86 VM, and on x86. */
#ifndef __KVM_GMEM_ARCH_H
#define __KVM_GMEM_ARCH_H

#include <linux/types.h>

struct kvm;

/* x86.c */
u32 gmem_arch_capabilities(struct kvm *kvm);
bool gmem_arch_needs_flush(struct kvm *kvm);
u64 gmem_arch_flags(struct kvm *kvm);
bool gmem_arch_had_machine_check(void);

#endif /* __KVM_GMEM_ARCH_H */
