// SPDX-License-Identifier: MIT
/*
 * What the host pays for a page of guest memory that it maps: a touch of it,
 * beside one of a memfd in the same run, and conversions by size.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "measure.h"

#define ROUNDS 5
#define FLAGS (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

static const uint64_t touched_sizes[] = { 4 * MIB, 16 * MIB, 64 * MIB };
static const uint64_t converted_sizes[] = { 4 * MIB, 64 * MIB, 1 * GIB };

#define NR(array) (sizeof(array) / sizeof((array)[0]))

/* What of the names of series differs between the two. */
struct memory {
	const char *missing;
	const char *resident;
	const char *read;
};

static const struct memory gmem = {
	.missing = "write a missing page, gmem",
	.resident = "write a resident page, gmem",
	.read = "read a resident page, gmem",
};

static const struct memory memfd = {
	.missing = "write a missing page, memfd",
	.resident = "write a resident page, memfd",
	.read = "read a resident page, memfd",
};

static char *map(int fd, uint64_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		must(-errno, "mmap");
	return p;
}

static void write_pages(const char *series, volatile char *p, uint64_t size)
{
	uint64_t start = now_ns(), at;

	for (at = 0; at < size; at += PAGE)
		p[at] = 1;
	sample("host", series, size, (now_ns() - start) / (size / PAGE));
}

static void read_pages(const char *series, volatile char *p, uint64_t size)
{
	uint64_t start = now_ns(), at;

	for (at = 0; at < size; at += PAGE)
		(void)p[at];
	sample("host", series, size, (now_ns() - start) / (size / PAGE));
}

/* Page tables are there each time: what is measured is the fault. */
static void touch(int fd, uint64_t size, const struct memory *names)
{
	char *p = map(fd, size);

	write_pages(names->missing, p, size);
	must(madvise(p, size, MADV_DONTNEED) ? -errno : 0, "MADV_DONTNEED");
	write_pages(names->resident, p, size);
	must(madvise(p, size, MADV_DONTNEED) ? -errno : 0, "MADV_DONTNEED");
	read_pages(names->read, p, size);
	munmap(p, size);
	close(fd);
}

static int new_memfd(uint64_t size)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, size))
		must(-errno, "memfd");
	return fd;
}

static void convert(int view, uint64_t size, uint64_t attributes, const char *series)
{
	struct kvm_memory_attributes2 args = { .size = size, .attributes = attributes };
	uint64_t start = now_ns();

	if (ioctl(view, KVM_SET_MEMORY_ATTRIBUTES2, &args))
		must(-errno, "convert");
	sample("host", series, size, now_ns() - start);
}

static void measure_conversion(uint64_t size)
{
	int vm = create_vm(), view;

	view = must(gmem_memfd_create(vm, size, FLAGS), "create guest memory");
	convert(view, size, KVM_MEMORY_ATTRIBUTE_PRIVATE, "to private, nothing resident");
	convert(view, size, 0, "to shared, nothing resident");
	if (fallocate(view, FALLOC_FL_KEEP_SIZE, 0, size))
		must(-errno, "allocate guest memory");
	convert(view, size, KVM_MEMORY_ATTRIBUTE_PRIVATE, "to private, all resident");
	convert(view, size, 0, "to shared, all resident");
	close(view);
	close(vm);
}

int main(void)
{
	unsigned int round, i;
	int vm;

	/* Stock modules have nothing of it: the other kind of boot has both sides. */
	if (!kvm_is_gmem())
		return 0;

	vm = create_vm();
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR(touched_sizes); i++) {
			uint64_t size = touched_sizes[i];

			touch(must(gmem_memfd_create(vm, size, FLAGS), "create guest memory"),
			      size, &gmem);
			touch(new_memfd(size), size, &memfd);
		}
		for (i = 0; i < NR(converted_sizes); i++) {
			if (round < 2 || converted_sizes[i] < GIB)
				measure_conversion(converted_sizes[i]);
		}
	}
	return 0;
}
