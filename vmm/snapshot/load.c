// SPDX-License-Identifier: MIT
/* Makes a machine from untrusted files. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/say.h"
#include "image/image.h"
#include "machine/private.h"
#include "machine/sections.h"
#include "snapshot/snapshot.h"

#define PAGE	4096UL
#define CHUNK	256U	/* pages that are read and given at once */

/* Whole pages, as many as an address space may have. */
static int look_at_memory(struct snapshot *snapshot, int dir)
{
	int fd = openat(dir, "memory", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct stat st;
	int ret;

	if (fd < 0)
		return -errno;
	ret = fstat(fd, &st) ? -errno : 0;
	close(fd);
	if (ret)
		return ret;
	if (!S_ISREG(st.st_mode) || !st.st_size || st.st_size % PAGE)
		return -EPROTO;
	snapshot->size = st.st_size;
	return 0;
}

static bool same_slot(const struct gmem_slot *a, const struct gmem_slot *b)
{
	return a->slot == b->slot && a->flags == b->flags && a->gpa == b->gpa &&
	       a->size == b->size && a->private_offset == b->private_offset &&
	       a->shared_offset == b->shared_offset && a->private_fd == b->private_fd &&
	       a->shared_fd == b->shared_fd;
}

/* Its memory is the whole file, at the addresses of a guest with so much memory. */
static bool good_slots(const struct snapshot *snapshot)
{
	struct gmem_slot slots[MACHINE_RAM_SLOTS];
	unsigned int i, nr = machine_ram_slots(snapshot->size, slots);

	if (nr != snapshot->message.nr_slots)
		return false;
	for (i = 0; i < nr; i++)
		if (!same_slot(&slots[i], &snapshot->message.slots[i]))
			return false;
	return true;
}

/* machine_share_rest() checks the private ranges of a guest that began private. */
static bool good_type(const struct gmem_message *message)
{
	return message->vm_type == KVM_X86_SW_PROTECTED_VM ||
	       (message->vm_type == KVM_X86_DEFAULT_VM && !message->nr_ranges);
}

static int check(const struct snapshot *snapshot)
{
	const struct gmem_message *message = &snapshot->message;
	uint32_t i;

	if (message->kind != GMEM_MESSAGE_SNAPSHOT || !good_type(message) ||
	    message->nr_fds != 1 || !message->nr_vcpus ||
	    message->nr_vcpus > MACHINE_VCPUS || !good_slots(snapshot))
		return -EPROTO;
	for (i = 0; i < message->nr_vcpus; i++)
		if (message->vcpus[i].id != i)
			return -EPROTO;
	return 0;
}

int snapshot_open(struct snapshot *snapshot, const char *path)
{
	int dir, ret;

	*snapshot = (struct snapshot){ .dir = -1 };
	snapshot->step = "opening the snapshot";
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	snapshot->dir = dir;
	snapshot->step = "reading the snapshot's state";
	ret = snapshot_read_state(dir, &snapshot->message);
	if (!ret) {
		snapshot->step = "opening the snapshot's memory";
		ret = look_at_memory(snapshot, dir);
	}
	if (ret)
		return ret;
	snapshot->step = "checking the snapshot";
	return check(snapshot);
}

/* The directory is not needed any more, and a VMM whose guest runs must not have one open. */
static void close_dir(struct snapshot *snapshot)
{
	if (snapshot->dir >= 0)
		close(snapshot->dir);
	snapshot->dir = -1;
}

void snapshot_close(struct snapshot *snapshot)
{
	close_dir(snapshot);
	gmem_message_free(&snapshot->message);
}

int snapshot_build(struct snapshot *snapshot, struct machine *machine)
{
	int ret = machine_create(machine, snapshot->message.vm_type);

	if (!ret)
		ret = machine_add_pc(machine);
	if (!ret)
		ret = machine_add_ram(machine, snapshot->size);
	return ret ? ret : machine_add_vcpus(machine, snapshot->message.nr_vcpus);
}

static int populate(int view, uint64_t offset, const char *bytes, uint64_t size)
{
	while (size) {
		int64_t done = gmem_populate(view, offset, bytes, size);

		if (done <= 0)
			return done ? done : -EIO;
		offset += done;
		bytes += done;
		size -= done;
	}
	return 0;
}

static int wrong_page(uint32_t page, int error)
{
	say("the page at offset 0x%" PRIx64 " of the snapshot's memory: %s",
	    page * (uint64_t)PAGE, error == -EBADMSG ? "its checksum is wrong" :
	    error == -ENODATA ? "the file ends before it" : strerror(-error));
	return error == -ENODATA ? -EBADMSG : error;
}

static int populate_pages(const struct image *image, int view, char *buffer,
			  uint32_t first, uint32_t end)
{
	int error = 0, ret = 0;

	while (!ret && first < end) {
		uint32_t count = end - first < CHUNK ? end - first : CHUNK;
		uint32_t good = image_read(image, first, count, buffer, &error);

		if (good < count)
			return wrong_page(first + good, error);
		ret = populate(view, first * (uint64_t)PAGE, buffer, count * PAGE);
		first += count;
	}
	return ret;
}

/*
 * Holes of the file stay missing, since a touch finds the same zeroes. The sums also cover holes.
 */
static int populate_data(const struct image *image, int view, char *buffer)
{
	uint64_t data, hole = 0;
	uint32_t good;
	int error, ret = 0;
	off_t at;

	while (!ret && hole < image->pages) {
		at = lseek(image->fd, hole * PAGE, SEEK_DATA);
		if (at < 0 && errno != ENXIO)
			return -errno;
		/* ENXIO: no data follows. */
		data = at < 0 ? image->pages : at / PAGE;
		/* A file system that somebody else controls may say anything. */
		if (data < hole)
			return -EIO;
		/* The file may have grown. */
		if (data > image->pages)
			data = image->pages;
		good = image_check_hole(image, hole, data - hole, &error);
		if (error)
			return wrong_page(hole + good, error);
		if (data == image->pages)
			return 0;
		at = lseek(image->fd, data * PAGE, SEEK_HOLE);
		if (at < 0)
			return -errno;
		hole = (at + PAGE - 1) / PAGE;
		if (hole > image->pages)
			hole = image->pages;
		ret = populate_pages(image, view, buffer, data, hole);
	}
	return ret;
}

/* Use sums if there are any, made by gmem pager. */
static int open_checked(const struct snapshot *snapshot, struct image *image)
{
	int ret = image_open_in(image, snapshot->dir, "memory", true);

	if (ret == -ENOENT)
		ret = image_open_in(image, snapshot->dir, "memory", false);
	if (ret)
		say("the snapshot's memory: %s", image->why);
	/* The file may have been replaced since it was checked. */
	if (!ret && image->size != snapshot->size) {
		image_close(image);
		ret = -EBADMSG;
	}
	return ret;
}

int snapshot_populate(struct snapshot *snapshot, struct machine *machine)
{
	char *buffer = malloc(CHUNK * PAGE);
	struct image image;
	int ret;

	machine->step = "populating the guest's memory";
	ret = buffer ? open_checked(snapshot, &image) : -ENOMEM;
	if (!ret) {
		ret = populate_data(&image, machine_view(machine), buffer);
		image_close(&image);
	}
	free(buffer);
	return ret;
}

static int set_vcpus(const struct gmem_message *message, struct machine *machine)
{
	enum gmem_state_kind kind;
	uint32_t i;
	int ret;

	machine->step = "setting the vCPUs' state";
	for (i = 0; i < message->nr_vcpus; i++) {
		ret = gmem_vcpu_set_state(&machine->vcpus[i], &message->vcpus[i], &kind);
		if (ret)
			return machine_fail(machine, ret, "KVM refused the vCPU's %s: %s",
					    gmem_state_name(kind), strerror(-ret));
	}
	return 0;
}

int snapshot_set_state(struct snapshot *snapshot, struct machine *machine)
{
	const struct gmem_message *message = &snapshot->message;
	enum gmem_vm_state_kind device;
	int ret;

	close_dir(snapshot);
	machine->step = "sharing what the guest had shared";
	ret = machine_share_rest(machine, message->ranges, message->nr_ranges);
	if (ret == -EPROTO)
		return machine_fail(machine, ret, "it is of no guest that gmem could have saved: "
				    "what is private of it");
	if (!ret)
		ret = set_vcpus(message, machine);
	if (ret)
		return ret;
	machine->step = "setting the devices' state";
	ret = gmem_vm_set_state(machine->vm, &message->vm_state, &device);
	if (ret)
		return machine_fail(machine, ret, "KVM refused the state of: %s: %s",
				    gmem_vm_state_name(device), strerror(-ret));
	return sections_load(machine_sections, machine, message->devices,
			     message->devices_size);
}
