// SPDX-License-Identifier: MIT
/* KVM itself, its VMs, and the parts of a VM's address space. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <gmem.h>

#include "kvm/ioctl.h"

int gmem_kvm_open(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version;

	if (kvm < 0)
		return -errno;
	version = gmem_ioctl(kvm, KVM_GET_API_VERSION, NULL);
	if (version == KVM_API_VERSION)
		return kvm;
	close(kvm);
	return version < 0 ? version : -ENOSYS;
}

int gmem_check_extension(int fd, uint32_t capability)
{
	return gmem_ioctl(fd, KVM_CHECK_EXTENSION,
			  (const void *)(uintptr_t)capability);
}

int gmem_vm_create(int kvm, uint64_t type)
{
	return gmem_ioctl(kvm, KVM_CREATE_VM, (const void *)(uintptr_t)type);
}

int gmem_vm_set_memory(int vm, const struct gmem_slot *slot, void *host)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot->slot,
		.flags = slot->flags,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->size,
		.userspace_addr = (uintptr_t)host,
	};

	if (slot->flags & KVM_MEM_GUEST_MEMFD) {
		region.guest_memfd = slot->private_fd;
		region.guest_memfd_offset = slot->private_offset;
	}
	return gmem_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region);
}

int gmem_vm_set_attributes(int vm, const struct gmem_range *range)
{
	struct kvm_memory_attributes attributes = {
		.address = range->gpa,
		.size = range->size,
		.attributes = range->attributes,
	};

	return gmem_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes);
}
