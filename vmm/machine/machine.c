// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_gmem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/say.h"
#include "common/status.h"
#include "live/publish.h"
#include "machine/machine.h"
#include "virtio/fence.h"

const char *kvm_todo(int error)
{
	switch (-error) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return "load the KVM modules that 'make kmod' built; 'gmem doctor' tells more";
	case EACCES:
	case EPERM:
		return "run it as root, or as a user of the group kvm";
	case ENOTTY:
	case EOPNOTSUPP:
	case EINVAL:
		return "this KVM is not gmem's: load the modules that 'make kmod' built";
	}
	return NULL;
}

static int fail_kvm(struct machine *machine, int error)
{
	machine->todo = kvm_todo(error);
	return error;
}

int machine_say_failed(const struct machine *machine, int error)
{
	if (*machine->why)
		fprintf(stderr, "gmem: %s: %s\n", machine->step, machine->why);
	else
		say_failed(error, "%s", machine->step);
	say_todo(machine->todo);
	return EXIT_FAILED;
}

int machine_create(struct machine *machine, uint64_t vm_type)
{
	int types, ret;

	*machine = (struct machine){
		.kvm = -1, .vm = -1, .vm_type = vm_type, .events.epoll = -1,
		.device_lock = PTHREAD_MUTEX_INITIALIZER,
	};
	machine->step = "watching for events";
	ret = events_open(&machine->events);
	if (ret)
		return ret;
	machine->step = "making a pipe";
	if (pipe2(machine->life, O_CLOEXEC))
		return -errno;
	machine->step = "opening /dev/kvm";
	machine->kvm = gmem_kvm_open();
	if (machine->kvm < 0)
		return fail_kvm(machine, machine->kvm);
	machine->step = "creating a VM with private memory";
	types = gmem_check_extension(machine->kvm, KVM_CAP_VM_TYPES);
	if (types < 0 || vm_type > 30 || !(types & 1 << vm_type))
		return fail_kvm(machine, -EOPNOTSUPP);
	machine->vm = gmem_vm_create(machine->kvm, vm_type);
	return machine->vm < 0 ? fail_kvm(machine, machine->vm) : 0;
}

/* If a slot is all private, KVM still wants an address, which nobody uses. */
static void *map_shared(const struct gmem_slot *slot)
{
	if (slot->shared_fd < 0)
		return mmap(NULL, slot->size, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return mmap(NULL, slot->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		    slot->shared_fd, slot->shared_offset);
}

int machine_add_fd(struct machine *machine, int fd)
{
	if (machine->nr_fds == MACHINE_FDS) {
		machine->step = "keeping the guest's descriptors";
		close(fd);
		return -E2BIG;
	}
	machine->fds[machine->nr_fds++] = fd;
	return fd;
}

int machine_add_memory(struct machine *machine, const struct gmem_slot *slot)
{
	struct machine_memory *memory = &machine->memory[machine->nr_memory];

	machine->step = "mapping the guest's shared memory";
	if (machine->nr_memory == MACHINE_SLOTS)
		return -E2BIG;
	memory->slot = *slot;
	memory->host = map_shared(slot);
	memory->shared = NULL;
	if (memory->host == MAP_FAILED)
		return -errno;
	machine->nr_memory++;
	machine->step = "binding the guest's memory";
	return gmem_vm_set_memory(machine->vm, slot, memory->host);
}

int machine_add_range(struct machine *machine, const struct gmem_range *range)
{
	machine->step = "setting memory attributes";
	if (machine->nr_ranges == MACHINE_RANGES)
		return -E2BIG;
	machine->ranges[machine->nr_ranges++] = *range;
	return gmem_vm_set_attributes(machine->vm, range);
}

int machine_add_pc(struct machine *machine)
{
	machine->step = "making the guest's devices";
	machine->pc = (struct pc){
		.present = true,
		.serial = { .console = &machine->console, .vm = machine->vm },
		.power = { .vm = machine->vm },
	};
	pci_init(&machine->pci);
	machine->msis.vm = machine->vm;
	rtc_init(&machine->pc.rtc);
	return gmem_vm_create_pc(machine->vm);
}

int machine_add_vcpus(struct machine *machine, unsigned int count)
{
	int ret = 0;

	machine->step = "creating the vCPUs";
	if (count > MACHINE_VCPUS)
		return -E2BIG;
	while (!ret && machine->nr_vcpus < count) {
		ret = gmem_vcpu_create(machine->kvm, machine->vm, machine->nr_vcpus,
				       &machine->vcpus[machine->nr_vcpus]);
		machine->nr_vcpus += !ret;
	}
	return ret;
}

int machine_fail(struct machine *machine, int error, const char *why, ...)
{
	va_list args;

	va_start(args, why);
	vsnprintf(machine->why, sizeof(machine->why), why, args);
	va_end(args);
	return error;
}

/* A failure does no harm: the pages just stay. */
void machine_discard(struct machine *machine, void *host, uint64_t size)
{
	const uint64_t page = 4096;
	unsigned int i;

	for (i = 0; i < machine->nr_memory; i++) {
		const struct gmem_slot *slot = &machine->memory[i].slot;
		uint64_t at = (char *)host - (char *)machine->memory[i].host;
		uint64_t from = (at + page - 1) & -page, to = (at + size) & -page;

		if (at < slot->size && size <= slot->size - at && from < to &&
		    slot->private_fd >= 0 && slot->private_fd == slot->shared_fd)
			gmem_punch(slot->shared_fd, slot->shared_offset + from, to - from);
	}
}

int machine_view(const struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_memory; i++)
		if (machine->memory[i].slot.private_fd >= 0)
			return machine->memory[i].slot.private_fd;
	return -1;
}

int machine_keep_cpuids(struct machine *machine)
{
	const size_t size = sizeof(struct kvm_cpuid2) +
			    GMEM_CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2);
	unsigned int i;
	int ret = 0;

	machine->step = "reading the vCPUs' CPUID";
	for (i = 0; !ret && i < machine->nr_vcpus; i++) {
		free(machine->cpuids[i]);
		machine->cpuids[i] = calloc(1, size);
		if (!machine->cpuids[i])
			return -ENOMEM;
		machine->cpuids[i]->nent = GMEM_CPUID_ENTRIES;
		ret = gmem_vcpu_get_cpuid(&machine->vcpus[i], machine->cpuids[i]);
	}
	return ret;
}

int machine_link(struct machine *machine, int view, const struct gmem_slot *slots,
		 unsigned int nr)
{
	unsigned int i;
	int ret = 0;

	machine->step = "linking the guest's memory";
	view = gmem_memfd_link(machine->vm, view);
	if (view >= 0)
		view = machine_add_fd(machine, view);
	if (view < 0)
		return view;
	for (i = 0; !ret && i < nr; i++) {
		struct gmem_slot slot = slots[i];

		if (!slot.private_fd)
			slot.private_fd = view;
		if (!slot.shared_fd)
			slot.shared_fd = view;
		ret = machine_add_memory(machine, &slot);
	}
	return ret;
}

static void close_life(struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (machine->life[i] > 0)
			close(machine->life[i]);
		machine->life[i] = 0;
	}
}

void machine_close(struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < MACHINE_VCPUS; i++) {
		free(machine->cpuids[i]);
		machine->cpuids[i] = NULL;
	}
	while (machine->nr_vcpus)
		gmem_vcpu_close(&machine->vcpus[--machine->nr_vcpus]);
	while (machine->nr_memory) {
		struct machine_memory *memory =
			&machine->memory[--machine->nr_memory];

		munmap(memory->host, memory->slot.size);
		free(memory->shared);
	}
	while (machine->nr_fds)
		close_fd(&machine->fds[--machine->nr_fds]);
	close_fd(&machine->vm);
	close_fd(&machine->kvm);
	publish_close(machine);
	virtio_close_fences(machine);
	close_life(machine);
	events_close(&machine->events);
}
