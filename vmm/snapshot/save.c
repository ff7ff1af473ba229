// SPDX-License-Identifier: MIT
/* From a machine that stands still to files. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/say.h"
#include "snapshot/snapshot.h"

#define RANGES	64

static int write_range(int fd, const char *bytes, uint64_t offset, uint64_t size)
{
	while (size) {
		ssize_t wrote = pwrite(fd, bytes + offset, size, offset);

		if (wrote < 0 && errno != EINTR)
			return -errno;
		if (wrote > 0) {
			offset += wrote;
			size -= wrote;
		}
	}
	return 0;
}

/* What nobody has touched is a hole of the file. */
static int write_present(int fd, const struct machine_memory *memory)
{
	struct kvm_gmem_present_range ranges[RANGES];
	uint64_t offset = 0, left = memory->slot.size, written = 0;
	int i, nr, ret = 0;

	while (left && !ret) {
		nr = gmem_present(memory->slot.private_fd, &offset, &left, ranges, RANGES);
		if (nr < 0)
			return nr;
		for (i = 0; i < nr && !ret; i++) {
			ret = write_range(fd, memory->host, ranges[i].offset, ranges[i].size);
			written += ranges[i].size;
		}
	}
	report("memory-written", "bytes=%" PRIu64, written);
	return ret;
}

static int write_memory(int dir, const struct machine_memory *memory)
{
	int fd = openat(dir, "memory", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, memory->slot.size))
		ret = -errno;
	if (!ret)
		ret = write_present(fd, memory);
	if (!ret && fsync(fd))
		ret = -errno;
	/* Some filesystems say only now that there was no room. */
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

static int write_state(struct machine *machine, int dir)
{
	struct gmem_slot slot = machine->memory[0].slot;
	struct gmem_vcpu_state vcpu = { 0 };
	struct pc_state pc;
	struct gmem_message message = {
		.kind = GMEM_MESSAGE_SNAPSHOT, .vm_type = machine->vm_type,
		.nr_slots = 1, .slots = &slot, .nr_fds = 1,
		.nr_vcpus = 1, .vcpus = &vcpu,
		.devices = &pc, .devices_size = sizeof(pc),
	};
	int ret;

	slot.private_fd = 0;
	slot.shared_fd = 0;
	pc_save(&machine->pc, &pc);
	machine->step = "reading the vCPU's state";
	ret = gmem_vcpu_get_state(&machine->vcpus[0], &vcpu);
	if (ret)
		return ret;
	machine->step = "reading the devices' state";
	ret = gmem_vm_get_state(machine->vm, &message.vm_state);
	if (!ret) {
		machine->step = "writing the snapshot's state";
		ret = snapshot_write_state(dir, &message);
	}
	gmem_vm_state_free(&message.vm_state);
	gmem_vcpu_state_free(&vcpu);
	return ret;
}

int snapshot_save(struct machine *machine, const char *path)
{
	const struct machine_memory *memory = &machine->memory[0];
	int dir, ret;

	machine->step = "making a snapshot of this kind of guest";
	if (!machine->pc.present || machine->nr_memory != 1 ||
	    memory->slot.private_fd < 0 ||
	    memory->slot.shared_fd != memory->slot.private_fd)
		return -EOPNOTSUPP;
	machine->step = "making the snapshot's directory";
	if (mkdir(path, 0700))
		return -errno;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	machine->step = "writing the snapshot's memory";
	ret = write_memory(dir, memory);
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
