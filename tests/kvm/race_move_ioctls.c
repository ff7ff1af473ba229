// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves while all else is asked of the VMs at either end, over and over: vCPUs
 * run and have registers read and written, memslots come and go, attributes
 * change. Whatever wins, there is one owner afterwards.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "claims.h"
#include "moving.h"

#define PAGES		16
#define SPARE_SLOT	20		/* comes and goes, somewhere else */
#define SPARE_GPA	(1ULL << 34)
#define RING		8
#define GOOD_PORT	0x7d		/* by which a guest says how its memory is */
#define BAD_PORT	0x7e

static pthread_barrier_t start, end;
static atomic_bool over, finished;
static void *spare_memory;

/* What threads do to VMs in a round, again and again until it is over. */
struct job {
	void (*once)(size_t i);
	size_t i;
	pthread_t thread;
};

static void *job_main(void *arg)
{
	struct job *job = arg;

	for (;;) {
		pthread_barrier_wait(&start);
		if (atomic_load(&finished))
			return NULL;
		while (!atomic_load(&over))
			job->once(job->i);
		pthread_barrier_wait(&end);
	}
}

static void jobs_begin(struct job *jobs, size_t n)
{
	pthread_barrier_init(&start, NULL, n + 1);
	pthread_barrier_init(&end, NULL, n + 1);
	spare_memory = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	for (size_t i = 0; i < n; i++)
		pthread_create(&jobs[i].thread, NULL, job_main, &jobs[i]);
}

static void jobs_round(unsigned int microseconds)
{
	atomic_store(&over, false);
	pthread_barrier_wait(&start);
	usleep(microseconds);
	atomic_store(&over, true);
	pthread_barrier_wait(&end);
}

static void jobs_end(struct job *jobs, size_t n)
{
	atomic_store(&finished, true);
	pthread_barrier_wait(&start);
	for (size_t i = 0; i < n; i++)
		pthread_join(jobs[i].thread, NULL);
}

static time_t deadline(void)
{
	const char *seconds = getenv("GMEM_TEST_SECONDS");

	return time(NULL) + (seconds ? atoi(seconds) : 3);
}

/* What may be said of a VM that may be dead. */
#define OK_OR_DEAD(call)							\
do {										\
	long ret_ = (long)(call);						\
										\
	TEST_ASSERT(ret_ >= 0 || errno == EIO, "%s: errno %d (%s)", #call, errno,	\
		    strerror(errno));						\
} while (0)

static int try_move(struct kvm_vm *dst, struct kvm_vm *src)
{
	int ret = __move(dst, src->fd);

	TEST_ASSERT(!ret || errno == EBUSY || errno == EIO || errno == EINVAL,
		    "move: errno %d (%s)", errno, strerror(errno));
	return ret;
}

static int try_convert(struct kvm_vm *vm, uint64_t attributes)
{
	struct kvm_memory_attributes range = {
		.address = SPARE_GPA,
		.size = PAGE_SIZE,
		.attributes = attributes,
	};

	return __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &range);
}

static int try_spare_slot(struct kvm_vm *vm, uint64_t size)
{
	/* Not by the library, which keeps account of slots and asks for capabilities. */
	struct kvm_userspace_memory_region2 slot = {
		.slot = SPARE_SLOT,
		.guest_phys_addr = SPARE_GPA,
		.memory_size = size,
		.userspace_addr = (unsigned long)spare_memory,
	};
	int ret = __vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &slot);

	/* Deleting one that is not there. */
	return ret && !size && errno == EINVAL ? 0 : ret;
}

static void hammer_registers(struct kvm_vcpu *vcpu)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	OK_OR_DEAD(__vcpu_ioctl(vcpu, KVM_GET_REGS, &regs));
	OK_OR_DEAD(__vcpu_ioctl(vcpu, KVM_SET_REGS, &regs));
	OK_OR_DEAD(__vcpu_ioctl(vcpu, KVM_GET_SREGS, &sregs));
	OK_OR_DEAD(__vcpu_ioctl(vcpu, KVM_SET_SREGS, &sregs));
}

/* To KVM_RUN and straight out again: a destination must not have run. */
static void hammer_run(struct kvm_vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	TEST_ASSERT(__vcpu_run(vcpu) == -1 && (errno == EINTR || errno == EIO),
		    "KVM_RUN: errno %d (%s)", errno, strerror(errno));
	vcpu->run->immediate_exit = 0;
}

/*
 * A has a guest, B and C want it. Each has a second vCPU to be hammered, since
 * A's first one runs.
 */
static struct machine *abc[3];
static struct kvm_vcpu *second[3];
static atomic_int moved_to[3];

static void a_moves_to(size_t i)
{
	if (!try_move(abc[i]->vm, abc[0]->vm))
		atomic_fetch_add(&moved_to[i], 1);
}

/* Never a fresh destination: refused, but not before all locks are taken. */
static void a_moves_from(size_t i)
{
	if (!try_move(abc[0]->vm, abc[i]->vm))
		atomic_fetch_add(&moved_to[0], 1);
}

static void guest_look_for_ever(void)
{
	for (;;) {
		for (uint64_t page = 0; page < PAGES; page++) {
			if (*(volatile uint64_t *)(MACHINE_GVA + page * PAGE_SIZE) !=
			    pattern_word(1, page, 0))
				asm volatile("out %%al, %0" : : "i"(BAD_PORT), "a"(0));
		}
		asm volatile("out %%al, %0" : : "i"(GOOD_PORT), "a"(0));
	}
}

/* Not by the library, which asks for registers afterwards. */
static void run_a(size_t i __attribute__((unused)))
{
	struct kvm_run *run = abc[0]->vcpu->run;
	int ret = __vcpu_run(abc[0]->vcpu);

	TEST_ASSERT(!ret || errno == EIO, "KVM_RUN of the source: errno %d", errno);
	TEST_ASSERT(ret || (run->exit_reason == KVM_EXIT_IO && run->io.port == GOOD_PORT),
		    "the source's guest left by %u", run->exit_reason);
}

static void registers_of_all(size_t i __attribute__((unused)))
{
	for (int vm = 0; vm < 3; vm++)
		hammer_registers(second[vm]);
	hammer_registers(abc[1]->vcpu);
	hammer_registers(abc[2]->vcpu);
}

static void slots_of_all(size_t i __attribute__((unused)))
{
	for (int vm = 0; vm < 3; vm++)
		OK_OR_DEAD(try_spare_slot(abc[vm]->vm, PAGE_SIZE));
	for (int vm = 0; vm < 3; vm++)
		OK_OR_DEAD(try_spare_slot(abc[vm]->vm, 0));
}

static void attributes_of_all(size_t i __attribute__((unused)))
{
	for (int vm = 0; vm < 3; vm++)
		OK_OR_DEAD(try_convert(abc[vm]->vm, KVM_MEMORY_ATTRIBUTE_PRIVATE));
	for (int vm = 0; vm < 3; vm++)
		OK_OR_DEAD(try_convert(abc[vm]->vm, 0));
}

static void runs_of_all(size_t i __attribute__((unused)))
{
	for (int vm = 0; vm < 3; vm++)
		hammer_run(second[vm]);
}

static void make_abc(void)
{
	abc[0] = machine_create(PAGES);
	abc[1] = destination(abc[0]);
	abc[2] = destination(abc[0]);
	for (int i = 0; i < 3; i++) {
		second[i] = __vm_vcpu_add(abc[i]->vm, 1);
		atomic_store(&moved_to[i], 0);
	}
	guest_write(abc[0], 0, PAGES, 1);
	machine_prepare(abc[0], guest_look_for_ever, 0, 0, 0);
}

static void expect_dead(struct machine *m, struct kvm_vcpu *other)
{
	struct kvm_regs regs;

	TEST_ERRNO(__vcpu_run(m->vcpu), EIO);
	TEST_ERRNO(__vcpu_run(other), EIO);
	TEST_ERRNO(__vcpu_ioctl(m->vcpu, KVM_GET_REGS, &regs), EIO);
	TEST_ERRNO(__vcpu_ioctl(other, KVM_SET_REGS, &regs), EIO);
	TEST_ERRNO(try_convert(m->vm, KVM_MEMORY_ATTRIBUTE_PRIVATE), EIO);
	TEST_ERRNO(try_spare_slot(m->vm, PAGE_SIZE), EIO);
}

/* As a destination has to be, whatever the hammers have left. */
static void tidy(struct machine *m)
{
	TEST_ASSERT(!try_convert(m->vm, 0), "attributes: errno %d", errno);
	TEST_ASSERT(!try_spare_slot(m->vm, 0), "memslot: errno %d", errno);
}

/* Returns 1 if there was a move. Each of those that are left can own it next. */
static int check_abc(void)
{
	int won = moved_to[1] + moved_to[2];
	struct machine *owner = moved_to[2] ? abc[2] : moved_to[1] ? abc[1] : abc[0];

	TEST_ASSERT(won <= 1, "%d moves from one VM", won);
	TEST_ASSERT_EQ(atomic_load(&moved_to[0]), 0);
	if (won)
		expect_dead(abc[0], second[0]);
	else
		vcpu_run_complete_io(abc[0]->vcpu);
	tidy(owner);
	guest_expect(owner, 0, PAGES, 1);
	guest_write(owner, 0, PAGES, 2);
	for (int i = 1; i < 3; i++) {
		if (moved_to[i])
			continue;
		tidy(abc[i]);
		move(abc[i], owner);
		guest_expect(abc[i], 0, PAGES, 2);
		owner = abc[i];
	}
	for (int i = 0; i < 3; i++)
		machine_release(abc[i]);
	return won;
}

static void one_of_two(void)
{
	struct job jobs[] = {
		{ .once = a_moves_to, .i = 1 },
		{ .once = a_moves_to, .i = 2 },
		{ .once = a_moves_from, .i = 1 },
		{ .once = run_a },
		{ .once = registers_of_all },
		{ .once = runs_of_all },
		{ .once = slots_of_all },
		{ .once = attributes_of_all },
	};
	int rounds = 0, moves = 0;
	time_t end_time;

	require_move();
	jobs_begin(jobs, ARRAY_SIZE(jobs));
	/* The first round has to get somewhere, however slow the machine. */
	for (end_time = deadline(); !moves || time(NULL) < end_time; rounds++) {
		make_abc();
		jobs_round(10000 + random() % 40000);
		moves += check_abc();
	}
	jobs_end(jobs, ARRAY_SIZE(jobs));
	pr_info("%d moves in %d rounds\n", moves, rounds);
}

/* VM i is to move to VM i + 1, all at the same time. */
static struct kvm_vm *ring[RING];
static struct kvm_vcpu *vcpus[RING];
static atomic_int moved_from[RING];

static void move_on(size_t i)
{
	if (!try_move(ring[(i + 1) % RING], ring[i]))
		atomic_fetch_add(&moved_from[i], 1);
}

static void registers_of_ring(size_t i __attribute__((unused)))
{
	for (int vm = 0; vm < RING; vm++)
		hammer_registers(vcpus[vm]);
}

static void runs_of_ring(size_t i __attribute__((unused)))
{
	for (int vm = 0; vm < RING; vm++)
		hammer_run(vcpus[vm]);
}

static void slots_of_ring(size_t i __attribute__((unused)))
{
	for (int vm = 0; vm < RING; vm++) {
		OK_OR_DEAD(try_spare_slot(ring[vm], PAGE_SIZE));
		OK_OR_DEAD(try_spare_slot(ring[vm], 0));
	}
}

static void attributes_of_ring(size_t i __attribute__((unused)))
{
	for (int vm = 0; vm < RING; vm++) {
		OK_OR_DEAD(try_convert(ring[vm], KVM_MEMORY_ATTRIBUTE_PRIVATE));
		OK_OR_DEAD(try_convert(ring[vm], 0));
	}
}

/* Whoever was moved from is dead, and nobody else is. */
static int check_ring(void)
{
	int moves = 0;

	for (int i = 0; i < RING; i++) {
		struct kvm_regs regs;
		int ret = __vcpu_ioctl(vcpus[i], KVM_GET_REGS, &regs);

		TEST_ASSERT(moved_from[i] <= 1, "VM %d was moved %d times", i, moved_from[i]);
		TEST_ASSERT(moved_from[i] ? ret == -1 && errno == EIO : !ret,
			    "VM %d was moved %d times, and answers %d", i, moved_from[i], ret);
		moves += moved_from[i];
		kvm_vm_free(ring[i]);
	}
	TEST_ASSERT(moves < RING, "%d moves in a ring of %d", moves, RING);
	return moves;
}

static void rings(void)
{
	struct job jobs[RING + 4] = {
		{ .once = registers_of_ring },
		{ .once = runs_of_ring },
		{ .once = slots_of_ring },
		{ .once = attributes_of_ring },
	};
	int rounds = 0, moves = 0;
	time_t end_time;

	require_move();
	for (size_t i = 0; i < RING; i++)
		jobs[4 + i] = (struct job){ .once = move_on, .i = i };
	jobs_begin(jobs, ARRAY_SIZE(jobs));
	for (end_time = deadline(); !moves || time(NULL) < end_time; rounds++) {
		for (int i = 0; i < RING; i++) {
			ring[i] = idle_vm();
			vcpus[i] = __vm_vcpu_add(ring[i], 0);
			atomic_store(&moved_from[i], 0);
		}
		jobs_round(5000 + random() % 20000);
		moves += check_ring();
	}
	jobs_end(jobs, ARRAY_SIZE(jobs));
	pr_info("%d moves in %d rounds\n", moves, rounds);
}

/* A guest goes along a chain of VMs, while all vCPUs of the one that has it are hammered. */
#define CHAIN		8	/* moves */
#define CHAINS		25
#define HAMMERS		6
#define VCPUS		2

static struct kvm_vm *chain[CHAIN + 1];
static struct kvm_vcpu *chained[CHAIN + 1][VCPUS];
static atomic_int owner;

static void hammer_owner(size_t i)
{
	struct kvm_vcpu *vcpu = chained[atomic_load(&owner)][i % VCPUS];

	/* No thread takes that back: they share the run page. */
	vcpu->run->immediate_exit = 1;
	if (i % 3)
		hammer_registers(vcpu);
	else
		TEST_ASSERT(__vcpu_run(vcpu) == -1 && (errno == EINTR || errno == EIO),
			    "KVM_RUN: errno %d (%s)", errno, strerror(errno));
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double move_along(void)
{
	double longest = 0;

	for (int i = 0; i < CHAIN; i++) {
		double begun = now();
		int ret = __move(chain[i + 1], chain[i]->fd);

		TEST_ASSERT(!ret, "move %d: errno %d (%s)", i, errno, strerror(errno));
		if (now() - begun > longest)
			longest = now() - begun;
		atomic_store(&owner, i + 1);
		/* Its vCPUs are hammered before it moves on. */
		usleep(2000);
	}
	return longest;
}

static void hammered(void)
{
	struct job jobs[HAMMERS];
	double longest = 0;

	require_move();
	for (size_t i = 0; i < HAMMERS; i++)
		jobs[i] = (struct job){ .once = hammer_owner, .i = i };
	jobs_begin(jobs, HAMMERS);
	for (unsigned int round = 0; round < claim_times(CHAINS); round++) {
		double took;

		atomic_store(&owner, 0);
		for (int i = 0; i <= CHAIN; i++) {
			chain[i] = idle_vm();
			for (int id = 0; id < VCPUS; id++)
				chained[i][id] = __vm_vcpu_add(chain[i], id);
		}
		atomic_store(&over, false);
		pthread_barrier_wait(&start);
		took = move_along();
		atomic_store(&over, true);
		pthread_barrier_wait(&end);
		if (took > longest)
			longest = took;
		for (int i = 0; i <= CHAIN; i++)
			kvm_vm_free(chain[i]);
	}
	jobs_end(jobs, HAMMERS);
	pr_info("%u moves, the longest took %.1f ms\n", CHAIN * claim_times(CHAINS),
		longest * 1000);
}

static const struct claim claims[] = {
	CLAIM(one_of_two, "A to B, A to C and back while all else goes on: one owner, whole"),
	SLOW_CLAIM(hammered, 180,
		   "200 moves succeed while threads make one ioctl after another of all vCPUs"),
	SLOW_CLAIM(rings, 120,
		   "rings of 8 while all else goes on: who was moved is dead, no other"),
};

CLAIMS_MAIN(claims);
