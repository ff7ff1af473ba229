// SPDX-License-Identifier: MIT
/* Writes a machine that stands still to files: a copy of its state, and then its memory. */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/say.h"
#include "machine/private.h"
#include "machine/sections.h"
#include "snapshot/files.h"
#include "snapshot/snapshot.h"

#define RANGES		64
#define CHUNK		(1UL << 20)	/* bytes written between two checks whether to go on */
#define SYNC_EVERY	(64UL << 20)	/* so that no wait for the disk is long */

/* struct output - a file that is being written; @unsynced: bytes since it was last synced */
struct output {
	int fd;
	uint64_t written;
	uint64_t unsynced;
	const bool *cancelled;
};

static int go_on(struct output *output, uint64_t size)
{
	output->written += size;
	output->unsynced += size;
	if (__atomic_load_n(output->cancelled, __ATOMIC_RELAXED))
		return -ECANCELED;
	if (output->unsynced < SYNC_EVERY)
		return 0;
	output->unsynced = 0;
	return fdatasync(output->fd) ? -errno : 0;
}

static int write_range(struct output *output, const char *bytes, uint64_t offset,
		       uint64_t size)
{
	int ret = 0;

	while (size && !ret) {
		ssize_t wrote = pwrite(output->fd, bytes, size < CHUNK ? size : CHUNK, offset);

		if (wrote < 0 && errno != EINTR)
			return -errno;
		if (wrote <= 0)
			continue;
		bytes += wrote;
		offset += wrote;
		size -= wrote;
		ret = go_on(output, wrote);
	}
	return ret;
}

/*
 * The host can read a part of the private pages while that part is written. A page that cannot
 * become private again stays shared. This happens if the host holds a reference to it, which
 * nothing here does.
 */
static int write_part(struct output *output, const struct machine *machine,
		      const struct machine_memory *memory, uint64_t offset, uint64_t size)
{
	int ret = machine_expose(machine, memory, offset, size, true), hidden;

	if (!ret)
		ret = write_range(output, (char *)memory->host + offset,
				  memory->slot.private_offset + offset, size);
	hidden = machine_expose(machine, memory, offset, size, false);
	return ret ? ret : hidden;
}

static int write_parts(struct output *output, const struct machine *machine,
		       const struct machine_memory *memory, uint64_t offset, uint64_t size)
{
	uint64_t part;
	int ret = 0;

	for (; size && !ret; size -= part, offset += part) {
		part = size < CHUNK ? size : CHUNK;
		ret = write_part(output, machine, memory, offset, part);
	}
	return ret;
}

/* Pages that nobody has touched become a hole of the file. */
static int write_present(struct output *output, const struct machine *machine,
			 const struct machine_memory *memory)
{
	const struct gmem_slot *slot = &memory->slot;
	struct kvm_gmem_present_range ranges[RANGES];
	uint64_t offset = slot->private_offset, left = slot->size;
	int i, nr, ret = 0;

	while (left && !ret) {
		nr = gmem_present(memory->slot.private_fd, &offset, &left, ranges, RANGES);
		if (nr < 0)
			return nr;
		for (i = 0; i < nr && !ret; i++)
			ret = write_parts(output, machine, memory,
					  ranges[i].offset - slot->private_offset,
					  ranges[i].size);
	}
	return ret;
}

static uint64_t memory_size(const struct machine *machine)
{
	uint64_t size = 0;
	unsigned int i;

	for (i = 0; i < machine->nr_memory; i++)
		size += machine->memory[i].slot.size;
	return size;
}

static int write_memory(int fd, const struct machine *machine, const bool *cancelled)
{
	struct output output = { .fd = fd, .cancelled = cancelled };
	unsigned int i;
	int ret = 0;

	if (ftruncate(fd, memory_size(machine)))
		ret = -errno;
	for (i = 0; !ret && i < machine->nr_memory; i++)
		ret = write_present(&output, machine, &machine->memory[i]);
	report("memory-written", "bytes=%" PRIu64, output.written);
	if (!ret && fsync(fd))
		ret = -errno;
	return ret;
}

static int get_vcpus(struct machine *machine, struct gmem_message *message)
{
	unsigned int i;
	int ret;

	machine->step = "reading the vCPUs' state";
	message->vcpus = calloc(machine->nr_vcpus, sizeof(*message->vcpus));
	if (!message->vcpus)
		return -ENOMEM;
	for (i = 0; i < machine->nr_vcpus; i++) {
		ret = gmem_vcpu_get_state(&machine->vcpus[i], &message->vcpus[i]);
		if (ret)
			return ret;
		message->nr_vcpus++;
	}
	return 0;
}

static int get_devices(struct machine *machine, struct gmem_message *message)
{
	int ret;

	machine->step = "reading the devices' state";
	ret = gmem_vm_get_state(machine->vm, &message->vm_state);
	return ret ? ret : sections_save(machine_sections, machine, &message->devices,
					 &message->devices_size);
}

/* The memory must be mappable and of a single inode, and all devices must have a section. */
static bool can_be_kept(const struct machine *machine)
{
	return machine->pc.present && machine_view(machine) >= 0;
}

int snapshot_check_machine(struct machine *machine, bool exposes)
{
	machine->step = "making a snapshot of this kind of guest";
	if (!can_be_kept(machine))
		return -EOPNOTSUPP;
	machine->step = "making a snapshot of private memory, which --expose-private must ask for";
	return exposes || machine->vm_type == KVM_X86_DEFAULT_VM ? 0 : -EPERM;
}

static int get_ranges(struct machine *machine, struct gmem_message *message)
{
	int ret = 0;

	machine->step = "finding what is private";
	message->ranges = calloc(GMEM_MAX_RANGES, sizeof(*message->ranges));
	if (message->ranges)
		ret = machine_private_ranges(machine, message->ranges, GMEM_MAX_RANGES);
	message->nr_ranges = ret < 0 ? 0 : ret;
	return !message->ranges ? -ENOMEM : ret < 0 ? ret : 0;
}

int snapshot_capture(struct machine *machine, struct snapshot_copy *copy)
{
	struct gmem_slot slots[MACHINE_RAM_SLOTS];
	struct gmem_message message = {
		.kind = GMEM_MESSAGE_SNAPSHOT, .vm_type = machine->vm_type,
		.slots = slots, .nr_fds = 1,
	};
	ssize_t length;
	unsigned int i;
	int ret;

	*copy = (struct snapshot_copy){ .machine = machine };
	message.nr_slots = machine_ram_slots(memory_size(machine), slots);
	ret = get_vcpus(machine, &message);
	if (!ret)
		ret = get_ranges(machine, &message);
	if (!ret)
		ret = get_devices(machine, &message);
	if (!ret) {
		length = gmem_message_encode(&message, &copy->message);
		copy->length = length;
		ret = length < 0 ? length : 0;
	}
	for (i = 0; i < message.nr_vcpus; i++)
		gmem_vcpu_state_free(&message.vcpus[i]);
	free(message.vcpus);
	free(message.ranges);
	free(message.devices);
	gmem_vm_state_free(&message.vm_state);
	return ret;
}

void snapshot_copy_free(struct snapshot_copy *copy)
{
	free(copy->message);
	copy->message = NULL;
}

int snapshot_check_place(const char *dir, const char **todo)
{
	char parent[PATH_MAX];
	struct stat st;
	char *end;

	*todo = "name a directory that is not there yet";
	if (!lstat(dir, &st))
		return -EEXIST;
	*todo = *dir ? NULL : "name a directory";
	if (errno != ENOENT || !*dir)
		return -errno;
	if (snprintf(parent, sizeof(parent), "%s", dir) >= (int)sizeof(parent))
		return -ENAMETOOLONG;
	/* "a/b/" is "b" in "a", and so is "a/b". */
	end = parent + strlen(parent);
	while (end > parent && end[-1] == '/')
		end--;
	while (end > parent && end[-1] != '/')
		end--;
	strcpy(end, ".");
	if (!access(parent, W_OK | X_OK))
		return 0;
	if (errno == ENOENT)
		*todo = "make the directory above it first";
	return -errno;
}

/*
 * Some filesystems report only at close(2) that there was no room. Half a file is useless, and may
 * fill the disk.
 */
static int close_files(struct snapshot_fds *files, bool good)
{
	int ret = 0;

	if (!good && (ftruncate(files->memory, 0) || ftruncate(files->state, 0)))
		ret = -errno;
	if (close(files->memory))
		ret = -errno;
	if (close(files->state))
		ret = -errno;
	return ret;
}

int snapshot_write(struct snapshot_copy *copy, struct snapshot_fds *files,
		   const bool *cancelled)
{
	int ret, closed;

	copy->step = "writing the snapshot's memory";
	ret = write_memory(files->memory, copy->machine, cancelled);
	if (!ret && __atomic_load_n(cancelled, __ATOMIC_RELAXED))
		ret = -ECANCELED;
	if (!ret) {
		copy->step = "writing the snapshot's state";
		ret = snapshot_write_state(files->state, copy->message, copy->length);
	}
	closed = close_files(files, !ret);
	return ret ? ret : closed;
}
