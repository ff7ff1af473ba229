// SPDX-License-Identifier: GPL-2.0-only
/*
 * A move, and who populates by the VM: it has populate_lock, and waits with that for the
 * inode's lock. If that takes very long, the move is refused.
 */
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "claims.h"
#include "mapped.h"
#include "moving.h"
#include "paging.h"
#include "populate.h"

#define HOLE_PAGES	65536
#define PAGES		(HOLE_PAGES + 1)
#define CPU		0	/* of this process */
#define OTHER_CPU	1	/* of the task that has the inode's lock */
#define LIMIT		10	/* seconds that a move waits: KVM_MOVE_LIMIT_US */

static struct machine *a, *b;
static pthread_t puncher, populater, hog;
static volatile bool hogging, stop;

static void on_cpu(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "affinity: errno %d", errno);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Has the inode's lock for writing now and then; the CPU only where nobody else wants it. */
static void *punch(void *unused __maybe_unused)
{
	struct sched_param param = { };

	on_cpu(OTHER_CPU);
	TEST_ASSERT(!sched_setscheduler(0, SCHED_IDLE, &param), "SCHED_IDLE: errno %d", errno);
	while (!stop) {
		allocate_pages(a->view, 1, HOLE_PAGES);
		punch_pages(a->view, 1, HOLE_PAGES);
	}
	return NULL;
}

static void *take_cpu(void *unused __maybe_unused)
{
	on_cpu(OTHER_CPU);
	setpriority(PRIO_PROCESS, 0, -20);
	while (hogging)
		;
	return NULL;
}

/* That a page is there is found with both locks, too. */
static void *populate_again(void *unused __maybe_unused)
{
	while (!stop) {
		long n = populate_offset(a->view, 0, 1, NULL);

		TEST_ASSERT(n == 1 || errno == EEXIST, "populate: %ld, errno %d", n, errno);
	}
	return NULL;
}

/* For a lock: it copies nothing. */
static bool populater_waits(void)
{
	return is_asleep(thread_id(populater), "gmem_populate_offset");
}

/* Is still so after a while, as whoever has the lock does not go on. */
static bool populater_stands_still(void)
{
	for (int i = 0; i < 20; i++) {
		if (!populater_waits())
			return false;
		usleep(5000);
	}
	return true;
}

static void begin(void)
{
	require_move();
	__TEST_REQUIRE(sysconf(_SC_NPROCESSORS_ONLN) > 1, "there is one CPU only");
	on_cpu(CPU);
	a = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED);
	b = mapped_link(KVM_X86_SW_PROTECTED_VM, a->view, PAGES);
	TEST_ASSERT(!pthread_create(&populater, NULL, populate_again, NULL), "thread");
	TEST_ASSERT(!pthread_create(&puncher, NULL, punch, NULL), "thread");
}

/* The CPU is taken from who punches, with or without the lock. Returns whether with it. */
static bool stop_puncher(void)
{
	double until = 0;

	while (!populater_waits())
		TEST_ASSERT(claim_is_patient(&until), "it waits for nobody");
	hogging = true;
	TEST_ASSERT(!pthread_create(&hog, NULL, take_cpu, NULL), "thread");
	return populater_stands_still();
}

static void let_go_on(void)
{
	hogging = false;
	pthread_join(hog, NULL);
}

static void refused(void)
{
	double until = 0, begun;

	begin();
	while (!stop_puncher()) {
		let_go_on();
		TEST_ASSERT(claim_is_patient(&until), "it never stood still with the lock");
	}

	begun = now();
	TEST_ERRNO(__move(b->vm, a->vm->fd), EBUSY);
	TEST_ASSERT(now() - begun >= LIMIT, "refused after %.1f s", now() - begun);
	TEST_ASSERT(populater_waits(), "it was not for populate_lock");

	stop = true;
	let_go_on();
	pthread_join(puncher, NULL);
	pthread_join(populater, NULL);
	move(b, a);
}

static const struct claim claims[] = {
	SLOW_CLAIM(refused, 120, "a move is refused where one who populates stands still"),
};

CLAIMS_MAIN(claims);
