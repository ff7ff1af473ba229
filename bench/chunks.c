// SPDX-License-Identifier: MIT
/*
 * What 2 MiB at a time change for memory that the host may map: first touches by a guest and by
 * the host, and conversions of one page in each 2 MiB that a guest has mapped; beside the same
 * with pages of 4 KiB in the same run.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "measure.h"

#define ROUNDS 5
#define SIZE (64 * MIB)
#define CHUNK (2 * MIB)
#define FLAGS (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define PARAMETER "/sys/module/kvm/parameters/gmem_huge"

/* Which there are, and what is measured of them. */
struct kind {
	const char *when;
	const char *guest;
	const char *host;
	const char *to_private;
	const char *to_shared;
};

static const struct kind kinds[] = {
	{
		.when = "never",
		.guest = "first touch by a guest, 4 KiB",
		.host = "first touch by the host, 4 KiB",
		.to_private = "to private, one page in 2 MiB, 4 KiB",
		.to_shared = "to shared, one page in 2 MiB, 4 KiB",
	},
	{
		.when = "fits",
		.guest = "first touch by a guest, 2 MiB",
		.host = "first touch by the host, 2 MiB",
		.to_private = "to private, one page in 2 MiB, 2 MiB",
		.to_shared = "to shared, one page in 2 MiB, 2 MiB",
	},
};

/* Inodes from now on. Returns -errno where these modules have no such thing. */
static int set_when(const char *when)
{
	int fd = open(PARAMETER, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, when, strlen(when)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static void convert(int view, uint64_t attributes, const char *series)
{
	struct kvm_memory_attributes2 args = { .size = PAGE, .attributes = attributes };
	uint64_t start = now_ns(), at;

	for (at = 0; at < SIZE; at += CHUNK) {
		args.offset = at + CHUNK / 2;
		if (ioctl(view, KVM_SET_MEMORY_ATTRIBUTES2, &args))
			must(-errno, "convert");
	}
	sample("chunks", series, SIZE, (now_ns() - start) / (SIZE / CHUNK));
}

static void measure_guest(const struct kind *kind, void *host)
{
	struct gmem_vcpu vcpu;
	int vm = create_vm(), view;
	uint64_t start;

	view = must(gmem_memfd_create(vm, SIZE, FLAGS), "create guest memory");
	add_guest_code(vm);
	bind_private(vm, view, SIZE, host);
	create_guest_vcpu(vm, 0, &vcpu);

	set_guest_range(&vcpu, PRIVATE_GPA, PRIVATE_GPA + SIZE);
	start = now_ns();
	run_guest(&vcpu);
	sample("chunks", kind->guest, SIZE, (now_ns() - start) / (SIZE / PAGE));

	convert(view, KVM_MEMORY_ATTRIBUTE_PRIVATE, kind->to_private);
	convert(view, 0, kind->to_shared);

	gmem_vcpu_close(&vcpu);
	close(view);
	close(vm);
}

static void measure_host(const struct kind *kind)
{
	int vm = create_vm(), view;
	uint64_t start, at;
	volatile char *p;

	view = must(gmem_memfd_create(vm, SIZE, FLAGS), "create guest memory");
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, view, 0);
	if (p == MAP_FAILED)
		must(-errno, "mmap");
	start = now_ns();
	for (at = 0; at < SIZE; at += PAGE)
		p[at] = 1;
	sample("chunks", kind->host, SIZE, (now_ns() - start) / (SIZE / PAGE));
	munmap((void *)p, SIZE);
	close(view);
	close(vm);
}

int main(void)
{
	void *host = reserve_addresses(SIZE);
	unsigned int round, i;

	/* Stock modules have nothing of it: the other kind of boot has both sides. */
	if (!kvm_is_gmem())
		return 0;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			must(set_when(kinds[i].when), PARAMETER);
			measure_guest(&kinds[i], host);
			measure_host(&kinds[i]);
		}
	}
	must(set_when("never"), PARAMETER);
	return 0;
}
