// SPDX-License-Identifier: MIT
/*
 * What it takes to ask which pages there are (KVM_GMEM_PRESENT), by the size of
 * the memory: none, all in one range, and every other one, which makes as many
 * ranges as there can be.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "measure.h"

#define ROUNDS 5
#define MAX_RANGES 4096

static const uint64_t sizes[] = { 16 * MIB, 128 * MIB, 1 * GIB };

#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void populate(int fd, uint64_t offset, uint64_t size)
{
	struct kvm_gmem_populate args = { .offset = offset, .size = size };

	if (ioctl(fd, KVM_GMEM_POPULATE, &args) != (int)(size / PAGE))
		must(-errno, "KVM_GMEM_POPULATE");
}

/* As often as it takes for all of the memory: how many ranges that were. */
static uint64_t ask(int fd, uint64_t size)
{
	static struct kvm_gmem_present_range ranges[MAX_RANGES];
	struct kvm_gmem_present args = { .size = size, .ranges = (uintptr_t)ranges };
	uint64_t nr = 0;

	while (args.size) {
		args.nr = MAX_RANGES;
		if (ioctl(fd, KVM_GMEM_PRESENT, &args))
			must(-errno, "KVM_GMEM_PRESENT");
		nr += args.nr;
	}
	return nr;
}

static void measure(const char *series, int fd, uint64_t size, uint64_t least, uint64_t most)
{
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		uint64_t begin = now_ns(), nr = ask(fd, size), end = now_ns();

		/* One range may come in parts. */
		if (nr < least || nr > most)
			must(-EIO, series);
		sample("present", series, size, end - begin);
	}
}

int main(void)
{
	size_t i;

	/* Stock modules have nothing of it. */
	if (!kvm_is_gmem())
		return 0;

	for (i = 0; i < NR_SIZES; i++) {
		uint64_t size = sizes[i], pages = size / PAGE, offset;
		int vm = create_vm();
		int fd = must(gmem_memfd_create(vm, size, 0), "create guest memory");

		measure("no page", fd, size, 0, 0);
		for (offset = 0; offset < size; offset += 2 * PAGE)
			populate(fd, offset, PAGE);
		measure("every other page", fd, size, pages / 2, pages / 2);
		for (offset = PAGE; offset < size; offset += 2 * PAGE)
			populate(fd, offset, PAGE);
		measure("all pages", fd, size, 1, pages / 4096 * 2);
		close(fd);
		close(vm);
	}
	return 0;
}
