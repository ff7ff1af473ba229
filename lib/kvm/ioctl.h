/* SPDX-License-Identifier: MIT */
/* The one way of the library into KVM. Not public. */
#ifndef GMEM_IOCTL_H
#define GMEM_IOCTL_H

#include <linux/kvm_gmem.h>

/* KVM_MAX_CPUID_ENTRIES of x86, the most that it gives or takes. */
#define MAX_CPUID_ENTRIES	256

/* ioctl(2), but it returns -errno. @arg: a pointer, or the integer argument. */
int gmem_ioctl(int fd, unsigned long request, const void *arg);

struct gmem_vcpu;
struct kvm_cpuid_entry2;

/*
 * Give a vCPU all of the CPUID that KVM supports here, each entry as @adapt,
 * if there is one, leaves it (vcpu.c).
 */
int gmem_vcpu_use_cpuid(struct gmem_vcpu *vcpu,
			void (*adapt)(const struct gmem_vcpu *vcpu,
				      struct kvm_cpuid_entry2 *entry));

#endif /* GMEM_IOCTL_H */
