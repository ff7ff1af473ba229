// SPDX-License-Identifier: GPL-2.0-only
/*
 * A move ends the source's irqfds: with as many grace periods for 800 that resample as for
 * four, and without those of another VM. What becomes of the counts of their eventfds.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>

#include "claims.h"
#include "moving.h"
#include "tracing.h"

#define PAGES	4
#define FEW	4
#define MANY	800
#define OTHERS	3000	/* of another VM, which ends meanwhile */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Returns the eventfd of the last one. */
static int add_resampling(struct kvm_vm *vm, unsigned int n)
{
	int fd = -1, resample = eventfd(0, 0);

	for (unsigned int i = 0; i < n; i++) {
		struct kvm_irqfd irqfd = {
			.gsi = 100 + i, .resamplefd = resample,
			.flags = KVM_IRQFD_FLAG_RESAMPLE,
		};

		fd = eventfd(0, 0);
		TEST_ASSERT(fd >= 0, "eventfd %u", i);
		irqfd.fd = fd;
		vm_ioctl(vm, KVM_IRQFD, &irqfd);
	}
	return fd;
}

static void begin(void)
{
	struct rlimit limit = { 2 * OTHERS, 2 * OTHERS };

	require_move();
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

/* Milliseconds; and in @periods how many grace periods of SRCU were waited for. */
static double timed_move(unsigned int irqfds, unsigned long *periods)
{
	struct machine *src = machine_create(PAGES), *dst;
	unsigned long before;
	double begun;

	guest_write(src, 0, PAGES, 1);
	add_resampling(src->vm, irqfds);
	dst = destination(src);
	before = trace_calls();
	begun = now();
	move(dst, src);
	begun = now() - begun;
	*periods = trace_calls() - before;
	guest_expect(dst, 0, PAGES, 1);
	machine_release(src);
	machine_free(dst);
	return begun * 1000;
}

static void many(void)
{
	unsigned long periods_few, periods_many;
	double few, many;

	begin();
	trace_calls_start("synchronize_srcu_expedited");
	few = timed_move(FEW, &periods_few);
	many = timed_move(MANY, &periods_many);
	printf("a move with %u irqfds: %.1f ms, %lu grace periods; with %u: %.1f ms, %lu\n", FEW,
	       few, periods_few, MANY, many, periods_many);
	TEST_ASSERT(periods_few, "no grace period was counted");
	/* Nothing else in a lab has to wait for so many meanwhile. */
	TEST_ASSERT(periods_many < periods_few + MANY / 10, "%lu grace periods, with %u irqfds %lu",
		    periods_many, FEW, periods_few);
}

static volatile bool closing;
static volatile double closed;
static struct kvm_vm *other;

static void *close_other(void *arg)
{
	closing = true;
	kvm_vm_release(other);
	closed = now();
	return arg;
}

/*
 * It goes on while another VM's irqfds end, which takes far longer. Where the move waits for
 * them both end together: so half of the time is a bound that a busy machine keeps.
 */
static void move_beside_another(bool one_ends)
{
	double begun, moved, end;
	struct machine *src, *dst;
	pthread_t thread;
	int last;

	begin();
	other = vm_create(1);
	add_resampling(other, OTHERS);
	src = machine_create(PAGES);
	guest_write(src, 0, PAGES, 1);
	last = add_resampling(src->vm, FEW);
	dst = destination(src);
	pthread_create(&thread, NULL, close_other, NULL);
	while (!closing)
		sched_yield();
	usleep(5000);
	if (one_ends)
		close(last);
	begun = now();
	move(dst, src);
	moved = now() - begun;
	pthread_join(thread, NULL);
	end = closed - begun;
	printf("a move: %.1f ms; the end of %u irqfds of another VM, from its begin on: %.1f ms\n",
	       moved * 1000, OTHERS, end * 1000);
	TEST_ASSERT(moved < end / 2, "the move waited for another VM's irqfds: %.1f of %.1f ms",
		    moved * 1000, end * 1000);
	guest_expect(dst, 0, PAGES, 1);
}

static void not_another_s(void)
{
	move_beside_another(false);
}

/* What ends irqfds is queued on the CPU on which their end began. */
static void not_behind_another_s(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "affinity: errno %d", errno);
	move_beside_another(true);
}

/* An irqfd that is made finds the count, raises the interrupt, and leaves the count. */
static void counts(void)
{
	struct machine *src, *dst;
	struct kvm_irqfd irqfd = { .gsi = 5 };
	uint64_t count = 1;
	int fd;

	begin();
	src = machine_create(PAGES);
	fd = eventfd(1, EFD_NONBLOCK);
	irqfd.fd = fd;
	vm_ioctl(src->vm, KVM_IRQFD, &irqfd);
	dst = destination(src);
	move(dst, src);
	TEST_ERRNO(read(fd, &count, sizeof(count)), EAGAIN);
	TEST_ASSERT_EQ(write(fd, &count, sizeof(count)), sizeof(count));
	TEST_ASSERT_EQ(read(fd, &count, sizeof(count)), sizeof(count));
	TEST_ASSERT_EQ(count, 1UL);
}

static const struct claim claims[] = {
	CLAIM(many, "800 irqfds that resample end with no more grace periods than four"),
	CLAIM(not_another_s, "a move does not wait for another VM's irqfds"),
	CLAIM(not_behind_another_s, "nor where one of its own was to end already, behind these"),
	CLAIM(counts, "the count of an interrupt that was raised goes, a later one stays"),
};

CLAIMS_MAIN(claims);
