// SPDX-License-Identifier: MIT
/* From a machine that stands still to files. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/say.h"
#include "machine/sections.h"
#include "snapshot/snapshot.h"
#include "virtio/device.h"

#define RANGES		64
#define DRAIN_NS	10000000000ULL	/* for requests in flight */

static int write_range(int fd, const char *bytes, uint64_t offset, uint64_t size)
{
	while (size) {
		ssize_t wrote = pwrite(fd, bytes, size, offset);

		if (wrote < 0 && errno != EINTR)
			return -errno;
		if (wrote > 0) {
			bytes += wrote;
			offset += wrote;
			size -= wrote;
		}
	}
	return 0;
}

/* What nobody has touched is a hole of the file. */
static int write_present(int fd, const struct machine_memory *memory, uint64_t *written)
{
	const struct gmem_slot *slot = &memory->slot;
	struct kvm_gmem_present_range ranges[RANGES];
	uint64_t offset = slot->private_offset, left = slot->size;
	int i, nr, ret = 0;

	while (left && !ret) {
		nr = gmem_present(memory->slot.private_fd, &offset, &left, ranges, RANGES);
		if (nr < 0)
			return nr;
		for (i = 0; i < nr && !ret; i++) {
			ret = write_range(fd, (char *)memory->host +
					  (ranges[i].offset - slot->private_offset),
					  ranges[i].offset, ranges[i].size);
			*written += ranges[i].size;
		}
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

static int write_memory(int dir, const struct machine *machine)
{
	int fd = openat(dir, "memory", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	uint64_t written = 0;
	unsigned int i;
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, memory_size(machine)))
		ret = -errno;
	for (i = 0; !ret && i < machine->nr_memory; i++)
		ret = write_present(fd, &machine->memory[i], &written);
	report("memory-written", "bytes=%" PRIu64, written);
	if (!ret && fsync(fd))
		ret = -errno;
	/* Some filesystems say only now that there was no room. */
	if (close(fd) && !ret)
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

static int write_state(struct machine *machine, int dir)
{
	struct gmem_slot slots[MACHINE_RAM_SLOTS];
	struct gmem_message message = {
		.kind = GMEM_MESSAGE_SNAPSHOT, .vm_type = machine->vm_type,
		.slots = slots, .nr_fds = 1,
	};
	unsigned int i;
	int ret;

	message.nr_slots = machine_ram_slots(memory_size(machine), slots);
	ret = get_vcpus(machine, &message);
	if (!ret)
		ret = get_devices(machine, &message);
	if (!ret) {
		machine->step = "writing the snapshot's state";
		ret = snapshot_write_state(dir, &message);
	}
	for (i = 0; i < message.nr_vcpus; i++)
		gmem_vcpu_state_free(&message.vcpus[i]);
	free(message.vcpus);
	free(message.devices);
	gmem_vm_state_free(&message.vm_state);
	return ret;
}

/* Memory that the host can read, all of one inode; and all devices have a section. */
static bool can_be_kept(const struct machine *machine)
{
	return machine->pc.present && machine->vm_type == KVM_X86_DEFAULT_VM &&
	       machine_view(machine) >= 0;
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

int snapshot_save(struct machine *machine, const char *path)
{
	int dir, ret;

	machine->step = "making a snapshot of this kind of guest";
	if (!can_be_kept(machine))
		return -EOPNOTSUPP;
	machine->step = "waiting for the devices";
	virtio_attend_all(machine);
	ret = virtio_drain_all(machine, now_ns() + DRAIN_NS);
	if (ret)
		return ret;
	machine->step = "making the snapshot's directory";
	if (mkdir(path, 0700))
		return -errno;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	machine->step = "writing the snapshot's memory";
	ret = write_memory(dir, machine);
	if (!ret)
		ret = write_state(machine, dir);
	/* Half of it is good for nothing, and the disk may be full of it. */
	if (ret) {
		unlinkat(dir, "memory", 0);
		unlinkat(dir, "state", 0);
		rmdir(path);
	}
	close(dir);
	return ret;
}
