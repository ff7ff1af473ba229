// SPDX-License-Identifier: MIT
/*
 * What it costs to give a fresh VM the memory of another: KVM_LINK_GUEST_MEMFD
 * and KVM_SET_USER_MEMORY_REGION2, by the size of the memory.
 *
 * Beside it, what the same slot costs without gmem, in a VM of the same type
 * and in one of the default type: the rest of the second ioctl is KVM's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "measure.h"

#define ROUNDS 15
#define RESIDENT (64 * MIB)

static const uint64_t sizes[] = {
	4 * MIB, 64 * MIB, 1 * GIB, 4 * GIB, 64 * GIB,
};

#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void *host;

/* A view in a VM of its own, with pages or without. */
static int create_source(uint64_t size, uint64_t resident)
{
	int memfd = must(gmem_memfd_create(create_vm(), size, 0), "create guest memory");

	if (resident > size)
		resident = size;
	if (resident && fallocate(memfd, FALLOC_FL_KEEP_SIZE, 0, resident))
		must(-errno, "allocate guest memory");
	return memfd;
}

static void measure_slot_without_gmem(int vm, const char *series, uint64_t size)
{
	uint64_t start = now_ns();

	add_slot_without_gmem(vm, size, host);
	sample("bind", series, size, now_ns() - start);
	close(vm);
}

static void measure_own_view(uint64_t size)
{
	int memfd, vm = create_vm();
	uint64_t start = now_ns(), created;

	memfd = must(gmem_memfd_create(vm, size, 0), "create guest memory");
	created = now_ns();
	bind_private(vm, memfd, size, host);
	sample("bind", "create + bind", size, now_ns() - start);
	sample("bind", "create", size, created - start);
	close(memfd);
	close(vm);
}

static void measure_linked_view(int source, uint64_t size, const char *link_series,
				const char *both_series)
{
	int memfd, vm = create_vm();
	uint64_t start = now_ns(), linked, bound;

	memfd = must(gmem_memfd_link(vm, source), "link guest memory");
	linked = now_ns();
	bind_private(vm, memfd, size, host);
	bound = now_ns();
	sample("bind", link_series, size, linked - start);
	sample("bind", both_series, size, bound - start);
	close(memfd);
	close(vm);
}

static void measure_links(void)
{
	int empty[NR_SIZES], filled[NR_SIZES];
	size_t i, round;

	for (i = 0; i < NR_SIZES; i++) {
		empty[i] = create_source(sizes[i], 0);
		filled[i] = create_source(sizes[i], RESIDENT);
	}
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR_SIZES; i++) {
			measure_linked_view(empty[i], sizes[i], "link", "link + bind");
			measure_linked_view(filled[i], sizes[i], "link, 64 MiB resident",
					    "link + bind, 64 MiB resident");
		}
	}
	for (i = 0; i < NR_SIZES; i++) {
		close(empty[i]);
		close(filled[i]);
	}
}

/*
 * When the VM's attributes are set before its slots, KVM looks at each of them
 * for each slot. One VM does for all rounds: they stay when a slot goes.
 */
static void measure_after_attributes(uint64_t size)
{
	int memfd, vm = create_vm();
	uint64_t start;
	size_t round;

	memfd = must(gmem_memfd_create(vm, size, 0), "create guest memory");
	make_private(vm, size);
	for (round = 0; round < ROUNDS; round++) {
		start = now_ns();
		bind_private(vm, memfd, size, host);
		sample("bind", "bind, after attributes", size, now_ns() - start);
		unbind_private(vm);
	}
	close(memfd);
	close(vm);
}

int main(void)
{
	size_t i, round;

	host = reserve_addresses(sizes[NR_SIZES - 1]);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR_SIZES; i++) {
			measure_slot_without_gmem(create_default_vm(),
						  "slot of a default VM", sizes[i]);
			measure_slot_without_gmem(create_vm(), "slot without gmem",
						  sizes[i]);
			measure_own_view(sizes[i]);
		}
	}
	if (kvm_is_gmem())
		measure_links();
	/* 64 GiB of attributes take KVM seconds and hundreds of MiB. */
	for (i = 0; i < NR_SIZES && sizes[i] <= 4 * GIB; i++)
		measure_after_attributes(sizes[i]);
	return 0;
}
