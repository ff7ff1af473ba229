// SPDX-License-Identifier: MIT
/*
 * What a page of content costs on its way into guest memory, by the calls that
 * populate: beside memcpy into memory that is there, the kernel's own copy into
 * such memory, and what else gives fresh memory its content. With one thread,
 * and with two that have half of it each.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "measure.h"

/*
 * The content does not begin where what it is copied to does, by addresses modulo
 * 2 MiB. QEMU finds translations in a table by a few bits of the address: where two
 * pages that are copied from and to share an entry, each word's copy costs two walks.
 */
#define SKEW (77 * PAGE)

#define ROUNDS 1
#define MAX_THREADS 2

static const uint64_t sizes[] = { 16 * MIB, 128 * MIB, 1 * GIB };

#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/*
 * struct destination - memory that content goes to
 * @map: where it is mapped, if it is
 * @vm, @fd, @handle: of guest memory: its VM, a view, a populate-only handle;
 *	of others @fd: the memfd or userfaultfd; -1: none
 */
struct destination {
	uint64_t size;
	char *map;
	int vm, fd, handle;
};

/*
 * struct way - a way to fill it: what is made ahead, and what is measured
 * @max_threads: writers of one memfd wait for each other: 1
 */
struct way {
	const char *name;
	unsigned int max_threads;
	void (*set_up)(struct destination *d);
	void (*fill)(const struct destination *d, uint64_t offset, const char *from,
		     uint64_t size);
};

static char *map(uint64_t size, int flags)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		must(-errno, "mmap");
	return p;
}

/* ---- Memory that is there ---- */

static void set_up_faulted(struct destination *d)
{
	d->map = map(d->size, MAP_POPULATE);
}

static void fill_by_memcpy(const struct destination *d, uint64_t offset, const char *from,
			   uint64_t size)
{
	memcpy(d->map + offset, from, size);
}

static void set_up_memfd(struct destination *d)
{
	d->fd = memfd_create("bench", MFD_CLOEXEC);
	if (d->fd < 0 || ftruncate(d->fd, d->size))
		must(-errno, "memfd");
}

static void set_up_faulted_memfd(struct destination *d)
{
	set_up_memfd(d);
	if (fallocate(d->fd, 0, 0, d->size))
		must(-errno, "allocate a memfd");
}

static void fill_by_write(const struct destination *d, uint64_t offset, const char *from,
			  uint64_t size)
{
	if (pwrite(d->fd, from, size, offset) != (ssize_t)size)
		must(-EIO, "write to a memfd");
}

/* ---- Fresh memory ---- */

static void set_up_fresh(struct destination *d, int advice)
{
	d->map = map(d->size, 0);
	if (madvise(d->map, d->size, advice))
		must(-errno, "madvise");
}

/* By pages of 4 KiB, as populate: that is what it can be compared to. */
static void set_up_fresh_pages(struct destination *d)
{
	set_up_fresh(d, MADV_NOHUGEPAGE);
}

static void set_up_fresh_huge_pages(struct destination *d)
{
	set_up_fresh(d, MADV_HUGEPAGE);
}

static void set_up_userfaultfd(struct destination *d)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	d->map = map(d->size, 0);
	range.range.start = (uintptr_t)d->map;
	range.range.len = d->size;
	d->fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (d->fd < 0 || ioctl(d->fd, UFFDIO_API, &api) || ioctl(d->fd, UFFDIO_REGISTER, &range))
		must(-errno, "userfaultfd");
}

static void fill_by_userfaultfd(const struct destination *d, uint64_t offset, const char *from,
				uint64_t size)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)d->map + offset,
		.src = (uintptr_t)from,
		.len = size,
	};

	if (ioctl(d->fd, UFFDIO_COPY, &copy))
		must(-errno, "UFFDIO_COPY");
}

static void set_up_guest_memory(struct destination *d)
{
	struct kvm_gmem_create_filler args = { 0 };

	d->vm = create_vm();
	d->fd = must(gmem_memfd_create(d->vm, d->size, 0), "create guest memory");
	d->map = reserve_addresses(d->size);
	bind_private(d->vm, d->fd, d->size, d->map);
	make_private(d->vm, d->size);
	d->handle = ioctl(d->fd, KVM_GMEM_CREATE_FILLER, &args);
	if (d->handle < 0)
		must(-errno, "make a populate-only handle");
}

static void fill_by_gpa(const struct destination *d, uint64_t offset, const char *from,
			uint64_t size)
{
	struct kvm_guest_memfd_populate args = {
		.gpa = PRIVATE_GPA + offset,
		.size = size,
		.from = (uintptr_t)from,
	};

	if (ioctl(d->vm, KVM_GUEST_MEMFD_POPULATE, &args) != (int)(size / PAGE))
		must(-errno, "KVM_GUEST_MEMFD_POPULATE");
}

static void fill_by_offset(int fd, uint64_t offset, const char *from, uint64_t size)
{
	struct kvm_gmem_populate args = {
		.offset = offset,
		.size = size,
		.from = (uintptr_t)from,
	};

	if (ioctl(fd, KVM_GMEM_POPULATE, &args) != (int)(size / PAGE))
		must(-errno, "KVM_GMEM_POPULATE");
}

static void fill_by_view(const struct destination *d, uint64_t offset, const char *from,
			 uint64_t size)
{
	fill_by_offset(d->fd, offset, from, size);
}

static void fill_by_handle(const struct destination *d, uint64_t offset, const char *from,
			   uint64_t size)
{
	fill_by_offset(d->handle, offset, from, size);
}

static const struct way ways[] = {
	{ "memcpy", 2, set_up_faulted, fill_by_memcpy },
	{ "memcpy, fresh pages of 4 KiB", 2, set_up_fresh_pages, fill_by_memcpy },
	{ "memcpy, fresh pages of 2 MiB", 2, set_up_fresh_huge_pages, fill_by_memcpy },
	{ "write to a memfd that is there", 1, set_up_faulted_memfd, fill_by_write },
	{ "write to a fresh memfd", 1, set_up_memfd, fill_by_write },
	{ "UFFDIO_COPY", 2, set_up_userfaultfd, fill_by_userfaultfd },
	{ "populate by gpa", 2, set_up_guest_memory, fill_by_gpa },
	{ "populate by view", 2, set_up_guest_memory, fill_by_view },
	{ "populate by handle", 2, set_up_guest_memory, fill_by_handle },
};

#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

/* struct filler - a thread with its part of the work, and when it did that */
struct filler {
	pthread_t thread;
	pthread_barrier_t *barrier;
	const struct way *way;
	const struct destination *d;
	uint64_t offset;
	const char *from;
	uint64_t size;
	uint64_t begin, end;
};

static void *fill(void *arg)
{
	struct filler *f = arg;

	pthread_barrier_wait(f->barrier);
	f->begin = now_ns();
	f->way->fill(f->d, f->offset, f->from, f->size);
	f->end = now_ns();
	return NULL;
}

/* From when the first began to when the last was done. */
static uint64_t fill_all(const struct way *way, const struct destination *d, const char *from,
			 unsigned int nr_threads)
{
	struct filler fillers[MAX_THREADS];
	uint64_t part = d->size / nr_threads, begin, end;
	pthread_barrier_t barrier;
	unsigned int i;

	pthread_barrier_init(&barrier, NULL, nr_threads);
	for (i = 0; i < nr_threads; i++) {
		fillers[i] = (struct filler) {
			.barrier = &barrier, .way = way, .d = d,
			.offset = i * part, .from = from + i * part, .size = part,
		};
		must(-pthread_create(&fillers[i].thread, NULL, fill, &fillers[i]),
		     "start a thread");
	}
	begin = UINT64_MAX;
	end = 0;
	for (i = 0; i < nr_threads; i++) {
		pthread_join(fillers[i].thread, NULL);
		if (fillers[i].begin < begin)
			begin = fillers[i].begin;
		if (fillers[i].end > end)
			end = fillers[i].end;
	}
	pthread_barrier_destroy(&barrier);
	return end - begin;
}

static void measure(const struct way *way, uint64_t size, const char *from,
		    unsigned int nr_threads)
{
	struct destination d = { .size = size, .vm = -1, .fd = -1, .handle = -1 };
	char series[64];
	uint64_t ns;

	snprintf(series, sizeof(series), "%s%s", way->name, nr_threads > 1 ? ", 2 threads" : "");
	way->set_up(&d);
	ns = fill_all(way, &d, from, nr_threads);
	sample("populate", series, size, ns / (size / PAGE));

	close(d.handle);
	close(d.fd);
	close(d.vm);
	if (d.map)
		munmap(d.map, size);
}

int main(void)
{
	uint64_t largest = sizes[NR_SIZES - 1];
	unsigned int round, nr_threads, i;
	const struct way *way;
	char *content;

	/* Stock modules have nothing of it: the other kind of boot has all sides. */
	if (!kvm_is_gmem())
		return 0;

	content = map(largest + SKEW, MAP_POPULATE) + SKEW;
	memset(content, 0x5a, largest);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR_SIZES; i++) {
			if (round && sizes[i] == largest)
				continue;
			for (way = ways; way < ways + NR_WAYS; way++) {
				for (nr_threads = 1; nr_threads <= way->max_threads; nr_threads++)
					measure(way, sizes[i], content, nr_threads);
			}
		}
	}
	return 0;
}
