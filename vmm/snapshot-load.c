// SPDX-License-Identifier: MIT
/* From files, which may be anything, to a machine. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_gmem.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"
#include "snapshot.h"

#define PAGE	4096UL

/* Whole pages, as many as an address space may have. */
static int open_memory(struct snapshot *snapshot, int dir)
{
	struct stat st;

	snapshot->memory = openat(dir, "memory", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (snapshot->memory < 0 || fstat(snapshot->memory, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || !st.st_size || st.st_size % PAGE)
		return -EPROTO;
	snapshot->size = st.st_size;
	return 0;
}

/* All of its memory is that file's. */
static bool good_slot(const struct snapshot *snapshot, const struct gmem_slot *slot)
{
	return slot->flags == KVM_MEM_GUEST_MEMFD &&
	       slot->private_fd == 0 && slot->shared_fd == 0 &&
	       slot->private_offset == slot->shared_offset &&
	       slot->size <= snapshot->size &&
	       slot->private_offset <= snapshot->size - slot->size;
}

static int check(const struct snapshot *snapshot)
{
	const struct gmem_message *message = &snapshot->message;
	uint32_t i;

	if (message->kind != GMEM_MESSAGE_SNAPSHOT ||
	    message->vm_type != KVM_X86_DEFAULT_VM || message->nr_fds != 1 ||
	    message->nr_slots > MACHINE_SLOTS || message->nr_ranges ||
	    message->nr_vcpus != 1 || message->vcpus[0].id)
		return -EPROTO;
	for (i = 0; i < message->nr_slots; i++)
		if (!good_slot(snapshot, &message->slots[i]))
			return -EPROTO;
	return 0;
}

int snapshot_open(struct snapshot *snapshot, const char *path)
{
	int dir, ret;

	*snapshot = (struct snapshot){ .memory = -1 };
	snapshot->step = "opening the snapshot";
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	snapshot->step = "reading the snapshot's state";
	ret = snapshot_read_state(dir, &snapshot->message);
	if (!ret) {
		snapshot->step = "opening the snapshot's memory";
		ret = open_memory(snapshot, dir);
	}
	close(dir);
	if (ret)
		return ret;
	snapshot->step = "checking the snapshot";
	return check(snapshot);
}

void snapshot_close(struct snapshot *snapshot)
{
	gmem_message_free(&snapshot->message);
	if (snapshot->memory >= 0)
		close(snapshot->memory);
	snapshot->memory = -1;
}

int snapshot_build(struct snapshot *snapshot, struct machine *machine)
{
	uint32_t i;
	int view, ret;

	ret = machine_create(machine, snapshot->message.vm_type);
	if (!ret)
		ret = machine_add_pc(machine);
	if (ret)
		return ret;
	view = machine_shared_view(machine, snapshot->size);
	if (view < 0)
		return view;
	for (i = 0; i < snapshot->message.nr_slots; i++) {
		struct gmem_slot slot = snapshot->message.slots[i];

		slot.private_fd = view;
		slot.shared_fd = view;
		ret = machine_add_memory(machine, &slot);
		if (ret)
			return ret;
	}
	return machine_add_vcpu(machine);
}

static int populate(int view, const char *bytes, uint64_t offset, uint64_t end)
{
	while (offset < end) {
		int64_t done = gmem_populate(view, offset, bytes + offset, end - offset);

		if (done <= 0)
			return done ? done : -EIO;
		offset += done;
	}
	return 0;
}

/* Holes of the file stay missing: who touches them finds the same zeroes. */
static int populate_data(const struct snapshot *snapshot, int view, const char *bytes)
{
	off_t data = 0, hole = 0, size = snapshot->size;
	int ret = 0;

	while (!ret && hole < size) {
		data = lseek(snapshot->memory, hole, SEEK_DATA);
		if (data < 0)	/* ENXIO: there is no more */
			return errno == ENXIO ? 0 : -errno;
		hole = lseek(snapshot->memory, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		data &= ~(PAGE - 1);
		hole = (hole + PAGE - 1) & ~(PAGE - 1);
		ret = populate(view, bytes, data, hole < size ? hole : size);
	}
	return ret;
}

int snapshot_populate(struct snapshot *snapshot, struct machine *machine)
{
	char *bytes;
	int ret;

	machine->step = "populating the guest's memory";
	bytes = mmap(NULL, snapshot->size, PROT_READ, MAP_PRIVATE, snapshot->memory, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	ret = populate_data(snapshot, machine_view(machine), bytes);
	munmap(bytes, snapshot->size);
	return ret;
}

int snapshot_set_state(struct snapshot *snapshot, struct machine *machine)
{
	const struct gmem_message *message = &snapshot->message;
	enum gmem_vm_state_kind device;
	enum gmem_state_kind kind;
	int ret;

	machine->step = "setting the vCPU's state";
	ret = gmem_vcpu_set_state(&machine->vcpu, &message->vcpus[0], &kind);
	if (ret) {
		say("KVM refused the vCPU's %s", gmem_state_name(kind));
		return ret;
	}
	machine->step = "setting the devices' state";
	ret = gmem_vm_set_state(machine->vm, &message->vm_state, &device);
	if (ret) {
		say("KVM refused the state of: %s", gmem_vm_state_name(device));
		return ret;
	}
	machine->step = "setting the console's state";
	return pc_restore(&machine->pc, message->devices, message->devices_size);
}
