// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many host threads that wait for pages: an answer is for those that wait for its page, and
 * costs no more for the others.
 */
#include <sys/syscall.h>
#include <time.h>

#include "claims.h"
#include "mapped.h"
#include "paging.h"

#define MAX_THREADS	4000
#define ANSWERS		50
#define ROUNDS		3	/* of them */

static struct machine *m;
static int pager;
static volatile int waiting, through;

struct thread {
	pthread_t thread;
	uint64_t page;
	volatile pid_t tid;
};

static struct thread threads[MAX_THREADS];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void *look(void *arg)
{
	struct thread *t = arg;

	t->tid = syscall(SYS_gettid);
	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	(void)*(volatile uint64_t *)host_page(m, t->page);
	__atomic_add_fetch(&through, 1, __ATOMIC_RELAXED);
	return NULL;
}

/*
 * Threads 0 to @n - 1, each for the page of its number; behind these are ROUNDS * ANSWERS more
 * pages.
 */
static void begin(unsigned int n)
{
	pthread_attr_t attr;

	require_pager();
	m = mapped_create(KVM_X86_DEFAULT_VM, n + ROUNDS * ANSWERS, MMAP_SHARED);
	pager = pager_of(m);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 32 << 10);
	for (unsigned int i = 0; i < n; i++) {
		threads[i].page = i;
		TEST_ASSERT(!pthread_create(&threads[i].thread, &attr, look, &threads[i]),
			    "thread %u", i);
	}
	for (unsigned int i = 0; i < n; i++)
		TEST_ASSERT_EQ(next_event(pager).type, KVM_GMEM_EVENT_FAULT);
	/* Asked is not asleep yet. */
	for (unsigned int i = 0; i < n; i++)
		wait_asleep(threads[i].tid, IN_PAGER_WAIT);
}

static unsigned long all_slept(unsigned int n)
{
	unsigned long sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += times_slept(threads[i].tid);
	return sum;
}

/* Milliseconds for an answer that nobody waits for: of the pages from @first on. */
static double one_round(unsigned int first)
{
	double begun = now();

	for (unsigned int i = 0; i < ANSWERS; i++)
		TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, first + i, 1, NULL), 0);
	/* Those that were woken want the CPU too. */
	sched_yield();
	return (now() - begun) * 1000 / ANSWERS;
}

/* Of the round in which nothing else took the CPU. */
static double answers(unsigned int n)
{
	double least = one_round(n);

	for (int round = 1; round < ROUNDS; round++) {
		double ms = one_round(n + round * ANSWERS);

		least = ms < least ? ms : least;
	}
	return least;
}

static void end(unsigned int n)
{
	double begun = now();

	for (unsigned int i = 0; i < n; i++)
		TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, i, 1, NULL), 0);
	for (unsigned int i = 0; i < n; i++)
		pthread_join(threads[i].thread, NULL);
	TEST_ASSERT_EQ(through, (int)n);
	printf("%u waiters: %.3f ms for each that is answered and goes on\n", n,
	       (now() - begun) * 1000 / n);
	through = 0;
	machine_free(m);
	close(pager);
}

static void others_sleep_on(void)
{
	unsigned long before;

	begin(100);
	before = all_slept(100);
	answers(100);
	TEST_ASSERT_EQ(all_slept(100), before);
	end(100);
}

/* A figure for docs/measurements.md; only what is far off fails. */
static void costs_the_same(void)
{
	/* On a slow kernel with fewer, and less allowed, as it would be less if all were woken. */
	unsigned int slowness = claim_slowness();
	unsigned int counts[] = { 16, 250, slowness > 1 ? 400 : MAX_THREADS };
	unsigned int times = slowness > 1 ? 5 : 20;
	double ms[3];

	for (int i = 0; i < 3; i++) {
		begin(counts[i]);
		ms[i] = answers(counts[i]);
		printf("%u waiters: %.3f ms an answer for somebody else\n", counts[i], ms[i]);
		end(counts[i]);
	}
	TEST_ASSERT(ms[2] < times * ms[0], "%.3f ms with %u waiters, %.3f with %u", ms[2],
		    counts[2], ms[0], counts[0]);
}

static const struct claim claims[] = {
	CLAIM(others_sleep_on, "an answer wakes nobody who waits for another page"),
	SLOW_CLAIM(costs_the_same, 300,
		   "and costs with very many waiters about what it costs with 16"),
};

CLAIMS_MAIN(claims);
