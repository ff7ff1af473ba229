// SPDX-License-Identifier: MIT
#include <errno.h>
#include <sys/mman.h>

#include <linux/kvm_gmem.h>

#include "measure.h"

int kvm_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = must(gmem_kvm_open(), "/dev/kvm");
	return fd;
}

int kvm_is_gmem(void)
{
	return gmem_check_extension(kvm_fd(), KVM_CAP_GMEM) > 0;
}

int create_vm(void)
{
	return must(gmem_vm_create(kvm_fd(), KVM_X86_SW_PROTECTED_VM),
		    "create a VM with private memory");
}

int create_default_vm(void)
{
	return must(gmem_vm_create(kvm_fd(), KVM_X86_DEFAULT_VM), "create a default VM");
}

void *reserve_addresses(size_t size)
{
	uintptr_t start;
	void *map;

	map = mmap(NULL, size + GIB, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		must(-errno, "reserve addresses");
	start = ((uintptr_t)map + GIB - 1) & ~(uintptr_t)(GIB - 1);
	return (void *)start;
}

static int set_slot(int vm, uint32_t flags, int memfd, uint64_t size, void *host)
{
	struct gmem_slot slot = {
		.slot = 1,
		.flags = flags,
		.gpa = PRIVATE_GPA,
		.size = size,
		.private_fd = memfd,
		.shared_fd = -1,
	};

	return gmem_vm_set_memory(vm, &slot, host);
}

void bind_private(int vm, int memfd, uint64_t size, void *host)
{
	must(set_slot(vm, KVM_MEM_GUEST_MEMFD, memfd, size, host), "bind a slot");
}

void unbind_private(int vm)
{
	must(set_slot(vm, 0, -1, 0, NULL), "delete a slot");
}

void add_slot_without_gmem(int vm, uint64_t size, void *host)
{
	must(set_slot(vm, 0, -1, size, host), "make a slot without gmem");
}

void set_attributes(int vm, uint64_t offset, uint64_t size, uint64_t attributes)
{
	struct gmem_range range = {
		.gpa = PRIVATE_GPA + offset,
		.size = size,
		.attributes = attributes,
	};

	must(gmem_vm_set_attributes(vm, &range), "set attributes");
}

void make_private(int vm, uint64_t size)
{
	set_attributes(vm, 0, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}
