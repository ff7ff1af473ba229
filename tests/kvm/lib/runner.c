// SPDX-License-Identifier: GPL-2.0-only
/*
 * A thread that runs a vCPU: see runner.h.
 */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "asleep.h"
#include "claims.h"
#include "runner.h"
#include "ucall_common.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* The signal only interrupts KVM_RUN, and makes the next one end at once. */
static void kicked(int signal)
{
	(void)signal;
}

static void catch_kicks(void)
{
	struct sigaction action = { .sa_handler = kicked };

	TEST_ASSERT(!sigaction(SIGUSR1, &action, NULL), "sigaction");
}

static void *runner_main(void *arg)
{
	struct runner *r = arg;
	int err;

	do {
		err = ioctl(r->vcpu->fd, KVM_RUN, NULL) ? errno : 0;
		/* A vCPU that waits for SIPI says EAGAIN for each that comes. */
	} while (err == EAGAIN || (err == EINTR && !__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)));

	r->err = err == EINTR ? 0 : err;
	__atomic_store_n(&r->ended, err != EINTR, __ATOMIC_RELEASE);
	return NULL;
}

void runner_start(struct runner *r, struct kvm_vcpu *vcpu)
{
	catch_kicks();
	*r = (struct runner){ .vcpu = vcpu };
	vcpu->run->immediate_exit = 0;
	TEST_ASSERT(!pthread_create(&r->thread, NULL, runner_main, r), "pthread_create");
}

void runner_sleeps(struct runner *r, const char *function)
{
	wait_asleep(thread_id(r->thread), function);
}

bool runner_stop(struct runner *r)
{
	__atomic_store_n(&r->stop, true, __ATOMIC_RELEASE);
	r->vcpu->run->immediate_exit = 1;
	pthread_kill(r->thread, SIGUSR1);
	pthread_join(r->thread, NULL);
	r->vcpu->run->immediate_exit = 0;
	TEST_ASSERT(!r->err, "KVM_RUN: errno %d (%s)", r->err, strerror(r->err));
	return r->ended;
}

static bool runner_ends(struct runner *r, double deadline)
{
	while (now() < deadline) {
		if (__atomic_load_n(&r->ended, __ATOMIC_ACQUIRE))
			return true;
		usleep(500);
	}
	return false;
}

void runner_wait(struct runner *r)
{
	bool ended = runner_ends(r, now() + claim_patience());

	TEST_ASSERT(runner_stop(r) || ended, "the guest does not leave to userspace");
}

bool run_for(struct kvm_vcpu *vcpu, unsigned int ms)
{
	struct runner r;

	runner_start(&r, vcpu);
	runner_ends(&r, now() + ms / 1000.0);
	return runner_stop(&r);
}

uint64_t run_to_ucall(struct kvm_vcpu *vcpu, struct ucall *uc)
{
	struct runner r;
	uint64_t cmd;

	runner_start(&r, vcpu);
	runner_wait(&r);
	cmd = get_ucall(vcpu, uc);
	if (cmd == UCALL_ABORT)
		REPORT_GUEST_ASSERT(*uc);
	TEST_ASSERT(cmd, "no ucall: exit reason %u", vcpu->run->exit_reason);
	return cmd;
}

void run_to_sync(struct kvm_vcpu *vcpu, uint64_t value)
{
	struct ucall uc;

	TEST_ASSERT_EQ(run_to_ucall(vcpu, &uc), UCALL_SYNC);
	TEST_ASSERT_EQ(uc.args[1], value);
}

void run_to_done(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	TEST_ASSERT_EQ(run_to_ucall(vcpu, &uc), UCALL_DONE);
}

void wait_for(const volatile uint64_t *counter, uint64_t value)
{
	double deadline = now() + claim_patience();

	while (*counter < value) {
		TEST_ASSERT(now() < deadline, "a counter is %lu and does not become %lu",
			    *counter, value);
		usleep(200);
	}
}
