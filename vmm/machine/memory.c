// SPDX-License-Identifier: MIT
/* A guest's memory around the hole below 4 GiB, and its initial content. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_gmem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine/cpuid.h"
#include "machine/layout.h"
#include "machine/machine.h"
#include "machine/private.h"

#define PAGE	4096UL

/* A view of the machine's own, or -errno. */
static int make_view(struct machine *machine, uint64_t size, uint64_t flags)
{
	int view = gmem_memfd_create(machine->vm, size, flags);

	return view < 0 ? view : machine_add_fd(machine, view);
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

unsigned int machine_ram_slots(uint64_t size, struct gmem_slot *slots)
{
	uint64_t low = size < HOLE_START ? size : HOLE_START;

	slots[0] = (struct gmem_slot){
		.slot = 0, .flags = KVM_MEM_GUEST_MEMFD, .size = low,
	};
	if (size == low)
		return 1;
	slots[1] = (struct gmem_slot){
		.slot = 1, .flags = KVM_MEM_GUEST_MEMFD, .gpa = HOLE_END,
		.size = size - low, .private_offset = low, .shared_offset = low,
	};
	return 2;
}

/* Guest physical addresses are limited in width. */
static int check_size(struct machine *machine, uint64_t size)
{
	union cpuid_table table;
	uint64_t end = size <= HOLE_START ? size : size + (HOLE_END - HOLE_START);
	unsigned int bits;
	int ret = machine_supported_cpuid(machine, &table);

	if (ret)
		return ret;
	bits = cpuid_address_bits(&table);
	if (bits < 64 && end > 1ULL << bits)
		return machine_fail(machine, -EINVAL,
				    "a guest of this processor has addresses of %u bits: that is too much memory",
				    bits);
	return 0;
}

uint64_t machine_huge_flag(const char *word)
{
	static const struct {
		const char *word;
		uint64_t flag;
	} flags[] = {
		{ "never", GUEST_MEMFD_FLAG_HUGE_NEVER },
		{ "fits", GUEST_MEMFD_FLAG_HUGE_FITS },
		{ "always", GUEST_MEMFD_FLAG_HUGE_ALWAYS },
	};
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (!strcmp(word, flags[i].word))
			return flags[i].flag;
	}
	return 0;
}

/* Modules that do not know the flags refuse them. */
static int check_huge(struct machine *machine)
{
	int mask = gmem_check_extension(machine->vm, KVM_CAP_GMEM);

	if (!machine->huge || (mask > 0 && mask & KVM_GMEM_CAP_HUGE))
		return 0;
	return machine_fail(machine, -EOPNOTSUPP,
			    "gmem's modules are too old for --huge-pages: load newer ones, or leave it out");
}

int machine_add_ram(struct machine *machine, uint64_t size)
{
	struct gmem_slot slots[MACHINE_RAM_SLOTS];
	unsigned int i, nr = machine_ram_slots(size, slots);
	uint64_t flags = GUEST_MEMFD_FLAG_MMAP | machine->huge;
	int view, ret;

	machine->step = "making the guest's memory";
	ret = check_size(machine, size);
	if (!ret)
		ret = check_huge(machine);
	if (ret)
		return ret;
	if (machine->vm_type != KVM_X86_SW_PROTECTED_VM)
		flags |= GUEST_MEMFD_FLAG_INIT_SHARED;
	view = make_view(machine, size, flags);
	if (view < 0)
		return view;
	for (i = 0; !ret && i < nr; i++) {
		slots[i].private_fd = view;
		slots[i].shared_fd = view;
		ret = machine_add_memory(machine, &slots[i]);
	}
	return ret;
}

struct machine_memory *machine_memory_at(struct machine *machine, uint64_t gpa, uint64_t size)
{
	unsigned int i;

	for (i = 0; i < machine->nr_memory; i++) {
		const struct gmem_slot *slot = &machine->memory[i].slot;

		if (slot->shared_fd >= 0 && gpa >= slot->gpa &&
		    size <= slot->size && gpa - slot->gpa <= slot->size - size)
			return &machine->memory[i];
	}
	return NULL;
}

void *machine_shared(struct machine *machine, uint64_t gpa, uint64_t size)
{
	const struct machine_memory *memory = machine_memory_at(machine, gpa, size);

	return memory ? (char *)memory->host + (gpa - memory->slot.gpa) : NULL;
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

/* Use whole pages directly; pad the last one with zeroes. */
int machine_load(struct machine *machine, uint64_t gpa, const void *data,
		 uint64_t size)
{
	const struct machine_memory *memory = machine_memory_at(machine, gpa, size);
	uint64_t whole = size & ~(PAGE - 1);
	char last[PAGE] = { 0 };
	int ret;

	if (memory && !machine_begins_private(machine, memory)) {
		memcpy((char *)memory->host + (gpa - memory->slot.gpa), data, size);
		return 0;
	}
	ret = populate(machine, gpa, data, whole);
	if (ret || whole == size)
		return ret;
	memcpy(last, (const char *)data + whole, size - whole);
	return populate(machine, gpa + whole, last, PAGE);
}
