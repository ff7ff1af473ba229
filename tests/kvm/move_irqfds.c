// SPDX-License-Identifier: GPL-2.0-only
/*
 * A move ends the source's irqfds: in a time that grows neither with grace periods, one for
 * each that resamples, nor with other VMs' irqfds.
 */
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>

#include "claims.h"
#include "moving.h"

#define PAGES	4
#define FEW	4
#define MANY	800

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void add_resampling(struct kvm_vm *vm, unsigned int n)
{
	int resample = eventfd(0, 0);

	for (unsigned int i = 0; i < n; i++) {
		struct kvm_irqfd irqfd = {
			.fd = eventfd(0, 0), .gsi = 100 + i, .resamplefd = resample,
			.flags = KVM_IRQFD_FLAG_RESAMPLE,
		};

		TEST_ASSERT((int)irqfd.fd >= 0, "eventfd %u", i);
		vm_ioctl(vm, KVM_IRQFD, &irqfd);
	}
}

static void begin(void)
{
	struct rlimit limit = { 4 * MANY, 4 * MANY };

	require_move();
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

static double timed_move(unsigned int irqfds)
{
	struct machine *src = machine_create(PAGES), *dst;
	double begun;

	guest_write(src, 0, PAGES, 1);
	add_resampling(src->vm, irqfds);
	dst = destination(src);
	begun = now();
	move(dst, src);
	begun = now() - begun;
	guest_expect(dst, 0, PAGES, 1);
	machine_release(src);
	machine_free(dst);
	return begun;
}

static volatile bool closing, closed;
static struct kvm_vm *other;

static void *close_other(void *arg)
{
	closing = true;
	kvm_vm_release(other);
	closed = true;
	return arg;
}

static void make_other(void)
{
	other = vm_create(1);
	add_resampling(other, MANY);
}

/* The end of a VM ends them one by one: that is what a move of as many has to beat. */
static void many(void)
{
	double end, few, many;

	begin();
	make_other();
	end = now();
	kvm_vm_release(other);
	end = now() - end;
	few = timed_move(FEW);
	many = timed_move(MANY);
	printf("%u resampling irqfds: a VM's end %.1f ms, a move %.1f ms, of %u %.1f ms\n", MANY,
	       end * 1000, many * 1000, FEW, few * 1000);
	TEST_ASSERT(many < end / 2, "%.1f ms, a VM's end %.1f ms", many * 1000, end * 1000);
}

/* It goes on while another VM's irqfds end. */
static void not_another_s(void)
{
	struct machine *src, *dst;
	pthread_t thread;

	begin();
	make_other();
	src = machine_create(PAGES);
	guest_write(src, 0, PAGES, 1);
	add_resampling(src->vm, FEW);
	dst = destination(src);
	pthread_create(&thread, NULL, close_other, NULL);
	while (!closing)
		sched_yield();
	usleep(5000);
	move(dst, src);
	TEST_ASSERT(!closed, "the move came after the end of another VM's irqfds");
	pthread_join(thread, NULL);
	guest_expect(dst, 0, PAGES, 1);
}

static const struct claim claims[] = {
	CLAIM(many, "800 irqfds that resample do not end one by one"),
	CLAIM(not_another_s, "a move does not wait for another VM's irqfds"),
};

CLAIMS_MAIN(claims);
