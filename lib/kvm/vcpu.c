// SPDX-License-Identifier: MIT
/* vCPUs: making them, running them, and the registers a fresh one starts with. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmem.h>

#include "kvm/ioctl.h"

int gmem_vcpu_create(int kvm, int vm, uint32_t id, struct gmem_vcpu *vcpu)
{
	int size = gmem_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);
	void *run;
	int fd;

	if (size < 0)
		return size;
	fd = gmem_ioctl(vm, KVM_CREATE_VCPU, (const void *)(uintptr_t)id);
	if (fd < 0)
		return fd;
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED) {
		int err = -errno;

		close(fd);
		return err;
	}
	*vcpu = (struct gmem_vcpu) {
		.fd = fd, .id = id, .kvm = kvm, .vm = vm,
		.run = run, .run_size = size,
	};
	return 0;
}

void gmem_vcpu_close(struct gmem_vcpu *vcpu)
{
	if (!vcpu->run)
		return;
	munmap(vcpu->run, vcpu->run_size);
	close(vcpu->fd);
	vcpu->run = NULL;
	vcpu->fd = -1;
}

int gmem_vcpu_run(struct gmem_vcpu *vcpu)
{
	return gmem_ioctl(vcpu->fd, KVM_RUN, NULL);
}

void gmem_vcpu_set_immediate_exit(struct gmem_vcpu *vcpu, int on)
{
	__atomic_store_n(&vcpu->run->immediate_exit, !!on, __ATOMIC_SEQ_CST);
}

int gmem_vcpu_set_regs(struct gmem_vcpu *vcpu, const struct kvm_regs *regs)
{
	return gmem_ioctl(vcpu->fd, KVM_SET_REGS, regs);
}

int gmem_vcpu_get_sregs(struct gmem_vcpu *vcpu, struct kvm_sregs *sregs)
{
	return gmem_ioctl(vcpu->fd, KVM_GET_SREGS, sregs);
}

int gmem_vcpu_set_sregs(struct gmem_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	return gmem_ioctl(vcpu->fd, KVM_SET_SREGS, sregs);
}

int gmem_supported_cpuid(int kvm, struct kvm_cpuid2 *cpuid)
{
	return gmem_ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
}

int gmem_vcpu_set_cpuid(struct gmem_vcpu *vcpu, const struct kvm_cpuid2 *cpuid)
{
	return gmem_ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid);
}

int gmem_vcpu_get_cpuid(struct gmem_vcpu *vcpu, struct kvm_cpuid2 *cpuid)
{
	return gmem_ioctl(vcpu->fd, KVM_GET_CPUID2, cpuid);
}

int gmem_vcpu_use_host_cpuid(struct gmem_vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid;
	int ret;

	cpuid = calloc(1, sizeof(*cpuid) +
			  GMEM_CPUID_ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = GMEM_CPUID_ENTRIES;
	ret = gmem_supported_cpuid(vcpu->kvm, cpuid);
	if (!ret)
		ret = gmem_vcpu_set_cpuid(vcpu, cpuid);
	free(cpuid);
	return ret;
}
