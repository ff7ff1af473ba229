// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "common/say.h"
#include "handover/transfer.h"

/* ---- At the source ---- */

/* The message's descriptors are the machine's, in the same order. */
static int32_t index_of(const struct machine *machine, int fd)
{
	unsigned int i;

	for (i = 0; i < machine->nr_fds; i++)
		if (fd >= 0 && machine->fds[i] == fd)
			return i;
	return -1;
}

void machine_to_memory(struct machine *machine, struct gmem_message *message,
		       struct gmem_slot *slots)
{
	unsigned int i;

	*message = (struct gmem_message){
		.kind = GMEM_MESSAGE_MEMORY,
		.vm_type = machine->vm_type,
		.nr_slots = machine->nr_memory,
		.slots = slots,
		.nr_ranges = machine->nr_ranges,
		.ranges = machine->ranges,
		.nr_fds = machine->nr_fds,
	};
	memcpy(message->fds, machine->fds, sizeof(machine->fds));
	for (i = 0; i < machine->nr_memory; i++) {
		slots[i] = machine->memory[i].slot;
		slots[i].private_fd = index_of(machine, slots[i].private_fd);
		slots[i].shared_fd = index_of(machine, slots[i].shared_fd);
	}
}

int machine_to_state(struct machine *machine, struct gmem_message *message,
		     struct gmem_vcpu_state *vcpu)
{
	*message = (struct gmem_message){
		.kind = GMEM_MESSAGE_STATE,
		.nr_vcpus = 1,
		.vcpus = vcpu,
		.devices = &machine->console.now,
		.devices_size = sizeof(machine->console.now),
	};
	machine->step = "reading the vCPU's state";
	return gmem_vcpu_get_state(&machine->vcpus[0], vcpu);
}

/* ---- At the destination ---- */

/*
 * Makes a view of our own from one that came, and closes that one: it belongs
 * to the source's VM, and would keep that VM alive.
 */
static int link_view(struct machine *machine, int theirs)
{
	struct gmem_facts facts;
	int view;

	machine->step = "linking the guest's memory (KVM_LINK_GUEST_MEMFD)";
	view = gmem_memfd_link(machine->vm, theirs);
	if (view == -ENOTTY)
		machine->todo = kvm_todo(view);
	close(theirs);
	if (view >= 0 && !gmem_memfd_facts(0, view, &facts))
		report("linked", "fd=%d ino=%" PRIu64, view, facts.ino);
	return view;
}

/*
 * Take over the descriptors that came: link views, and keep shared memory as it
 * is. machine->fds[i] is descriptor i of the message.
 */
static int take_fds(struct machine *machine, struct gmem_message *message)
{
	bool view[GMEM_MAX_FDS] = { false };
	uint32_t i;

	for (i = 0; i < message->nr_slots; i++)
		if (message->slots[i].private_fd >= 0)
			view[message->slots[i].private_fd] = true;
	for (i = 0; i < message->nr_fds; i++) {
		int fd = gmem_message_take_fd(message, i);

		if (fd >= 0 && view[i])
			fd = link_view(machine, fd);
		if (fd >= 0)
			fd = machine_add_fd(machine, fd);
		if (fd < 0)
			return fd;
	}
	return 0;
}

int machine_from_memory(struct machine *machine, struct gmem_message *message)
{
	uint32_t i;
	int ret;

	ret = machine_create(machine, message->vm_type);
	if (ret)
		return ret;
	ret = take_fds(machine, message);
	for (i = 0; !ret && i < message->nr_slots; i++) {
		struct gmem_slot slot = message->slots[i];

		if (slot.private_fd >= 0)
			slot.private_fd = machine->fds[slot.private_fd];
		if (slot.shared_fd >= 0)
			slot.shared_fd = machine->fds[slot.shared_fd];
		ret = machine_add_memory(machine, &slot);
	}
	if (ret)
		return ret;
	report("bound", "slots=%u", machine->nr_memory);
	for (i = 0; !ret && i < message->nr_ranges; i++)
		ret = machine_add_range(machine, &message->ranges[i]);
	if (ret)
		return ret;
	report("attributes", "ranges=%u", machine->nr_ranges);
	return machine_add_vcpus(machine, 1);
}

int machine_from_state(struct machine *machine,
		       const struct gmem_message *message)
{
	enum gmem_state_kind failed;
	int ret;

	machine->step = "taking the vCPUs: this program has one";
	if (message->nr_vcpus != 1 || message->vcpus[0].id != machine->vcpus[0].id)
		return -E2BIG;
	machine->step = "taking the console";
	ret = console_restore(&machine->console, message->devices,
			      message->devices_size);
	if (ret)
		return ret;
	machine->step = "setting the vCPU's state";
	ret = gmem_vcpu_set_state(&machine->vcpus[0], &message->vcpus[0], &failed);
	if (ret)
		say("KVM refused the vCPU's %s", gmem_state_name(failed));
	return ret;
}
