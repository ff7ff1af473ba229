// SPDX-License-Identifier: MIT
/* A guest's memory from 0 on, and what is loaded into it before it runs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_gmem.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine/machine.h"

#define PAGE	4096UL

/* A view of the machine's own, or -errno. */
static int make_view(struct machine *machine, uint64_t size, uint64_t flags)
{
	int view = gmem_memfd_create(machine->vm, size, flags);

	return view < 0 ? view : machine_add_fd(machine, view);
}

static int add_private(struct machine *machine, struct gmem_slot *slot)
{
	struct gmem_range range = {
		slot->gpa, slot->size, KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	int ret;

	machine->step = "making the guest's private memory";
	slot->private_fd = make_view(machine, slot->size, 0);
	if (slot->private_fd < 0)
		return slot->private_fd;
	ret = machine_add_memory(machine, slot);
	return ret ? ret : machine_add_range(machine, &range);
}

/* Sealed, so that whoever maps it next can rely on its size. */
int machine_shared_memory(uint64_t size)
{
	int fd = memfd_create("gmem-guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int machine_shared_view(struct machine *machine, uint64_t size)
{
	machine->step = "making the guest's memory";
	return make_view(machine, size,
			 GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
}

int machine_add_ram(struct machine *machine, uint64_t size, bool private)
{
	struct gmem_slot slot = {
		.slot = 0, .flags = KVM_MEM_GUEST_MEMFD, .size = size, .shared_fd = -1,
	};

	if (private)
		return add_private(machine, &slot);
	slot.private_fd = machine_shared_view(machine, size);
	if (slot.private_fd < 0)
		return slot.private_fd;
	slot.shared_fd = slot.private_fd;
	return machine_add_memory(machine, &slot);
}

static int populate(struct machine *machine, uint64_t gpa, const void *data,
		    uint64_t size)
{
	int64_t ret;

	while (size) {
		ret = gmem_vm_populate(machine->vm, gpa, data, size);
		if (ret <= 0)
			return ret ? ret : -EIO;
		gpa += ret;
		data = (const char *)data + ret;
		size -= ret;
	}
	return 0;
}

/* Whole pages from where they are; the rest of the last one is zeroes. */
int machine_load(struct machine *machine, uint64_t gpa, const void *data,
		 uint64_t size)
{
	void *shared = machine_shared(machine, gpa, size);
	uint64_t whole = size & ~(PAGE - 1);
	char last[PAGE] = { 0 };
	int ret;

	if (shared) {
		memcpy(shared, data, size);
		return 0;
	}
	ret = populate(machine, gpa, data, whole);
	if (ret || whole == size)
		return ret;
	memcpy(last, (const char *)data + whole, size - whole);
	return populate(machine, gpa + whole, last, PAGE);
}
