// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VM's attributes cost where they are hardest to keep, every other page
 * private: in time, compared with what is all of one kind in the same run, and in
 * memory. How that stands to stock modules is for bench/attrs.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include "claims.h"
#include "machine.h"
#include "meminfo.h"
#include "moving.h"
#include "tracing.h"

#define SLOT	1
#define GPA	(1ULL << 32)		/* the emulated CPU addresses 1 TiB */
#define DENSE	(256ULL << 20)		/* 65,536 pages */
#define ROUNDS	5
#define TIMES	10			/* as much is another order */
#define KEPT	11			/* bytes a page: stock keeps 9, one page in two */
#define HOST	((void *)(1ULL << 40))	/* the slots' userspace_addr */
#define HUGE	(2ULL << 20)
#define MIXED	((claim_slowness() > 1 ? 8ULL : 64ULL) << 30) /* one page in each HUGE is private */

static void set(struct kvm_vm *vm, uint64_t offset, uint64_t size, bool private)
{
	vm_set_memory_attributes(vm, GPA + offset, size,
				 private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
}

static void set_every_other_page(struct kvm_vm *vm, uint64_t size)
{
	for (uint64_t offset = 0; offset < size; offset += 2 * PAGE_SIZE)
		set(vm, offset, PAGE_SIZE, true);
}

/* Addresses that nobody touches, at which a slot may have huge pages. */
static void add_slot(struct kvm_vm *vm, uint64_t size)
{
	vm_set_user_memory_region2(vm, SLOT, 0, GPA, size, HOST, -1, 0);
}

static void delete_slot(struct kvm_vm *vm)
{
	vm_set_user_memory_region2(vm, SLOT, 0, GPA, 0, NULL, -1, 0);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Of several rounds, the one in which nothing else took the CPU. */
static uint64_t least(uint64_t a, uint64_t b)
{
	return a && a < b ? a : b;
}

static void expect_no_more(const char *what, uint64_t ns, uint64_t times, uint64_t of)
{
	pr_info("%s: %lu ns, to compare with %lu ns\n", what, ns, of);
	TEST_ASSERT(ns <= times * of, "%s: %lu ns, more than %lu times %lu ns", what, ns, times,
		    of);
}

static uint64_t time_new_slot(struct kvm_vm *vm)
{
	uint64_t best = 0;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t start = now();

		add_slot(vm, DENSE);
		best = least(best, now() - start);
		delete_slot(vm);
	}
	return best;
}

static void new_slot(void)
{
	struct kvm_vm *dense = idle_vm(), *uniform = idle_vm();

	set_every_other_page(dense, DENSE);
	set(uniform, 0, DENSE, true);
	expect_no_more("a new slot", time_new_slot(dense), TIMES, time_new_slot(uniform));
}

static uint64_t time_move(bool dense)
{
	uint64_t best = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct kvm_vm *source = idle_vm(), *destination = idle_vm();
		uint64_t start;

		add_slot(source, DENSE);
		add_slot(destination, DENSE);
		if (dense)
			set_every_other_page(source, DENSE);
		else
			set(source, 0, DENSE, true);
		start = now();
		TEST_ASSERT(!__move(destination, source->fd), "move: errno %d", errno);
		best = least(best, now() - start);
	}
	return best;
}

static void a_move(void)
{
	require_move();
	expect_no_more("a move", time_move(true), TIMES, time_move(false));
}

static void changes(void)
{
	struct kvm_vm *dense = idle_vm(), *sparse = idle_vm();
	uint64_t start, of_dense = 0, of_sparse = 0;

	add_slot(dense, DENSE);
	add_slot(sparse, DENSE);
	set_every_other_page(dense, DENSE);
	set(sparse, 0, PAGE_SIZE, true);
	for (int i = 0; i < ROUNDS; i++) {
		start = now();
		for (int page = 0; page < 1000; page++)
			set(dense, DENSE / 2 + page * PAGE_SIZE, PAGE_SIZE, (i ^ page) & 1);
		of_dense = least(of_dense, now() - start);

		start = now();
		for (int page = 0; page < 1000; page++)
			set(sparse, 4 * PAGE_SIZE, PAGE_SIZE, page & 1);
		of_sparse = least(of_sparse, now() - start);
	}
	expect_no_more("1000 changes", of_dense, 2, of_sparse);
}

/* All that changes is one page, and that back. */
static uint64_t time_all_but_one(uint64_t size)
{
	struct kvm_vm *vm = idle_vm();
	uint64_t best = 0;

	add_slot(vm, size);
	set(vm, 0, size, true);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t start = now();

		set(vm, size / 2, PAGE_SIZE, false);
		set(vm, 0, size, true);
		best = least(best, now() - start);
	}
	return best;
}

static void one_page_of_a_large_slot(void)
{
	require_link();
	expect_no_more("one page of 512 GiB", time_all_but_one(1ULL << 39), TIMES,
		       time_all_but_one(4ULL << 20));
}

static void memory(void)
{
	struct kvm_vm *vm = idle_vm();
	uint64_t pages = 4 * DENSE / PAGE_SIZE, before = meminfo("Slab"), after;

	set_every_other_page(vm, 4 * DENSE);
	after = meminfo("Slab");
	pr_info("%ld bytes for %lu pages\n", (long)(after - before), pages);
	TEST_ASSERT(after < before + KEPT * pages, "%lu bytes for %lu pages", after - before,
		    pages);
}

/*
 * A thread that wants mmu_lock all the time, by a notifier of the memory behind a slot, on a
 * CPU of its own: how long its turns took.
 */
static struct {
	void *page;
	volatile bool stop;
	volatile uint64_t turns, longest;
	pthread_t thread;
} other;

static void run_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "errno %d", errno);
}

static void *want_lock(void *arg)
{
	run_on(1);
	while (!other.stop) {
		uint64_t start = now();

		*(volatile char *)other.page = 1;
		TEST_ASSERT(!madvise(other.page, PAGE_SIZE, MADV_DONTNEED), "errno %d", errno);
		other.longest = max(other.longest, now() - start);
		other.turns++;
	}
	return arg;
}

static void other_start(void)
{
	uint64_t turns;

	other.page = mmap(HOST, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	TEST_ASSERT(other.page == HOST, "mmap");
	other.stop = false;
	turns = other.turns;
	TEST_ASSERT(!pthread_create(&other.thread, NULL, want_lock, NULL), "thread");
	while (other.turns == turns)
		usleep(1000);
	other.longest = 0;
}

static void set_all(struct kvm_vm *vm, struct kvm_vm *source)
{
	set(vm, 0, MIXED, true);
	(void)source;
}

static void move_all(struct kvm_vm *vm, struct kvm_vm *source)
{
	TEST_ASSERT(!__move(vm, source->fd), "move: errno %d", errno);
}

static struct kvm_vm *mixed_vm(void)
{
	struct kvm_vm *vm = idle_vm();

	add_slot(vm, MIXED);
	for (uint64_t offset = 0; offset < MIXED; offset += HUGE)
		set(vm, offset, PAGE_SIZE, true);
	return vm;
}

/* Nobody else wants the CPU of a task like that, whose end of a hold would be no merit. */
static void have_the_cpu(bool alone)
{
	struct sched_param param = { .sched_priority = alone };

	TEST_ASSERT(!sched_setscheduler(0, alone ? SCHED_FIFO : SCHED_OTHER, &param),
		    "errno %d", errno);
}

/* The longest turn meanwhile, in percent of the time that the call took. */
static uint64_t longest_turn(void (*call)(struct kvm_vm *vm, struct kvm_vm *source))
{
	struct kvm_vm *source = mixed_vm(), *vm = source;
	uint64_t start, ns;

	if (call == move_all) {
		vm = idle_vm();
		add_slot(vm, MIXED);
	}
	other_start();
	have_the_cpu(true);
	start = now();
	call(vm, source);
	ns = now() - start;
	have_the_cpu(false);
	other.stop = true;
	pthread_join(other.thread, NULL);
	pr_info("%lu of %lu us\n", other.longest / 1000, ns / 1000);
	return other.longest * 100 / ns;
}

/*
 * The lab's CPUs take turns of some four million instructions, in which a walk over all that
 * is mixed would be done. A probe in the walk makes it take many of them.
 */
static void others_have_turns(void)
{
	void (*calls[])(struct kvm_vm *vm, struct kvm_vm *source) = { set_all, move_all };

	require_move();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		claim_skip("nobody waits for a lock that spins on one CPU");
	if (claim_slowness() > 1)
		claim_skip("the debug kernel's checks take longer than the walk");
	run_on(0);
	trace_calls_start("gmem_ranges_walk_next");
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		uint64_t least = ~0UL;

		for (int tries = 0; tries < 3 && least > 50; tries++)
			least = min(least, longest_turn(calls[i]));
		TEST_ASSERT(least <= 50, "a turn took %lu percent of the whole", least);
	}
}

static const struct claim claims[] = {
	SLOW_CLAIM(new_slot, 120, "a new slot over 65,536 ranges costs as one over a few do"),
	SLOW_CLAIM(a_move, 240, "so does a move of them"),
	SLOW_CLAIM(changes, 120, "a change among them costs no more than one among few"),
	SLOW_CLAIM(one_page_of_a_large_slot, 120,
		   "one page of a slot of 512 GiB costs as one of a small slot"),
	SLOW_CLAIM(others_have_turns, 400,
		   "where 64 GiB of mixed memory are set or moved, others get mmu_lock in between"),
	SLOW_CLAIM(memory, 120, "they take no more memory than stock modules take for them"),
};

CLAIMS_MAIN(claims);
