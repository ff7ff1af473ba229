// SPDX-License-Identifier: MIT
/*
 * What a VM's attributes cost where they are hardest to keep: every other page
 * private, or one page in 2 MiB; and where they are easiest, all of one kind.
 * Setting them, a new memslot over them, a move of them, their memory, and how long
 * others wait for the VM's MMU meanwhile.
 *
 * attrs [ROUNDS [brief]]: 5 rounds, or ROUNDS; brief: only what stock modules do too.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "measure.h"

#define ROUNDS 5
#define SLOT_TRIES 3
#define HUGE (2 * MIB)
#define FAR (128 * MIB)
#define LARGEST (512 * GIB)	/* the emulated CPU addresses 1 TiB */

static const uint64_t dense[] = { 16 * MIB, 256 * MIB, 1 * GIB };
static const uint64_t sparse[] = { 256 * MIB, 4 * GIB };
static const uint64_t scattered[] = { 64 * GIB };
static const uint64_t uniform[] = { 16 * MIB, 256 * MIB, 1 * GIB, 64 * GIB, LARGEST };

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void *host;

static void add_slot(int vm, uint64_t size)
{
	add_slot_without_gmem(vm, size, host);
}

/* What the kernel's small objects take. */
static uint64_t slab_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	unsigned long kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Slab: %lu kB", &kib) == 1)
			break;
	}
	if (!kib)
		must(-EIO, "/proc/meminfo");
	fclose(file);
	return kib * KIB;
}

/* One page of each @step private; the time of one call. */
static void set_pages(int vm, uint64_t size, uint64_t step, const char *series)
{
	uint64_t start = now_ns(), offset;

	for (offset = 0; offset < size; offset += step)
		set_attributes(vm, offset, PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	sample("attrs", series, size, (now_ns() - start) / (size / step));
}

/* The VM stays: memory that one leaves behind would be the next one's for nothing. */
static void measure_memory(uint64_t size, uint64_t step, const char *series)
{
	int vm = create_vm();
	uint64_t before = slab_bytes(), after, offset;

	for (offset = 0; offset < size; offset += step)
		set_attributes(vm, offset, PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	after = slab_bytes();
	sample("attrs-bytes", series, size, after > before ? after - before : 1);
}

static uint64_t time_slot(int vm, uint64_t size)
{
	uint64_t start;

	unbind_private(vm);
	start = now_ns();
	add_slot(vm, size);
	return now_ns() - start;
}

/* The least of some: an interrupt costs as much as a small slot. */
static void measure_slot(int vm, uint64_t size, const char *series)
{
	uint64_t least = time_slot(vm, size);

	for (int i = 1; i < SLOT_TRIES; i++) {
		uint64_t ns = time_slot(vm, size);

		least = ns < least ? ns : least;
	}
	sample("attrs", series, size, least);
}

/* @vm is closed: it has no attributes any more. */
static void measure_move(int vm, uint64_t size, const char *series)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		.args = { vm },
	};
	int destination = create_vm();
	uint64_t start;

	if (kvm_is_gmem()) {
		add_slot(destination, size);
		start = now_ns();
		if (ioctl(destination, KVM_ENABLE_CAP, &cap))
			must(-errno, "move");
		sample("attrs", series, size, now_ns() - start);
	}
	close(destination);
	close(vm);
}

static void measure_dense(uint64_t size)
{
	int vm = create_vm();

	add_slot(vm, size);
	set_pages(vm, size, 2 * PAGE, "set every other page, a call");
	measure_slot(vm, size, "new memslot, every other page");
	measure_move(vm, size, "move, every other page");
}

static void measure_sparse(uint64_t size)
{
	int vm = create_vm();

	add_slot(vm, size);
	set_pages(vm, size, HUGE, "set one page in 2 MiB, a call");
	measure_slot(vm, size, "new memslot, one page in 2 MiB");
	measure_move(vm, size, "move, one page in 2 MiB");
}

static void measure_scattered(uint64_t size)
{
	int vm = create_vm();

	add_slot(vm, size);
	set_pages(vm, size, FAR, "set one page in 128 MiB, a call");
	close(vm);
}

/* A page becomes private and shared again, in the middle of what is shared. */
static void measure_back_and_forth(uint64_t size)
{
	int vm = create_vm(), i, n = 200;
	uint64_t start;

	add_slot(vm, size);
	start = now_ns();
	for (i = 0; i < n; i++)
		set_attributes(vm, size / 2 + 5 * PAGE, PAGE,
			       i & 1 ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE);
	sample("attrs", "set one page, and back, a call", size, (now_ns() - start) / n);
	close(vm);
}

static void measure_uniform(uint64_t size)
{
	int vm = create_vm();
	uint64_t start;

	/* By pages it takes KVM seconds and hundreds of MiB. */
	if (!kvm_is_gmem() && size > GIB) {
		close(vm);
		return;
	}
	add_slot(vm, size);
	start = now_ns();
	set_attributes(vm, 0, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	sample("attrs", "set all", size, now_ns() - start);
	start = now_ns();
	set_attributes(vm, size / 2, PAGE, 0);
	sample("attrs", "set one page of what is private", size, now_ns() - start);
	start = now_ns();
	set_attributes(vm, 0, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	sample("attrs", "set all, which is private but for one page", size, now_ns() - start);
	measure_slot(vm, size, "new memslot, all private");
	close(vm);
}

/* Somebody else who needs mmu_lock, by a notifier of the memory behind a memslot. */
static struct {
	pthread_t thread;
	void *page;
	atomic_bool stop;
	atomic_uint turns;
	uint64_t longest;
} other;

static void *others_turns(void *unused)
{
	(void)unused;
	while (!other.stop) {
		uint64_t start = now_ns(), took;

		*(volatile char *)other.page = 1;
		if (madvise(other.page, PAGE, MADV_DONTNEED))
			must(-errno, "madvise");
		took = now_ns() - start;
		if (took > other.longest)
			other.longest = took;
		other.turns++;
	}
	return NULL;
}

static void start_other(void)
{
	other.stop = false;
	other.longest = 0;
	other.turns = 0;
	if (pthread_create(&other.thread, NULL, others_turns, NULL))
		must(-EAGAIN, "thread");
	while (!other.turns)
		usleep(1000);
}

static void stop_other(uint64_t size, const char *wait, const char *turns)
{
	other.stop = true;
	pthread_join(other.thread, NULL);
	sample("attrs-waits", wait, size, other.longest);
	sample("attrs-turns", turns, size, other.turns + 1);
}

/* @step apart, private pages; then a memslot of them, all set, and moved. */
static void measure_waits(uint64_t size, uint64_t step)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM };
	int vm = create_vm(), destination = create_vm();
	uint64_t offset;

	other.page = mmap(host, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (other.page == MAP_FAILED)
		must(-errno, "mmap");
	for (offset = 0; offset < size; offset += step)
		set_attributes(vm, offset, PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	add_slot(destination, size);
	start_other();
	usleep(10000);
	stop_other(size, "nothing else", "nothing else");

	start_other();
	add_slot(vm, size);
	stop_other(size, "new memslot", "new memslot");

	start_other();
	cap.args[0] = vm;
	if (ioctl(destination, KVM_ENABLE_CAP, &cap))
		must(-errno, "move");
	stop_other(size, "move", "move");

	start_other();
	set_attributes(destination, 0, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	stop_other(size, "set all", "set all");
	close(destination);
	close(vm);
	}

int main(int argc, char **argv)
{
	size_t i, round, rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	bool brief = argc > 2;

	host = reserve_addresses(LARGEST);
	if (kvm_is_gmem() && !brief) {
		measure_waits(4 * GIB, 2 * PAGE);
		measure_waits(4 * GIB, HUGE);
		measure_waits(64 * GIB, HUGE);
	}
	for (i = 0; i < LENGTH(dense); i++)
		measure_memory(dense[i], 2 * PAGE, "every other page");
	for (i = 0; i < LENGTH(sparse); i++)
		measure_memory(sparse[i], HUGE, "one page in 2 MiB");
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < LENGTH(dense); i++)
			measure_dense(dense[i]);
		for (i = 0; i < LENGTH(sparse); i++)
			measure_sparse(sparse[i]);
		for (i = 0; i < LENGTH(sparse); i++)
			measure_back_and_forth(sparse[i]);
		for (i = 0; i < LENGTH(scattered); i++)
			measure_scattered(scattered[i]);
		for (i = 0; i < LENGTH(uniform) && !brief; i++)
			measure_uniform(uniform[i]);
	}
	return 0;
}
