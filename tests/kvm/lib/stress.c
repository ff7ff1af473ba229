// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads against each other: see stress.h.
 */
#include <pthread.h>

#include "stress.h"
#include "test_util.h"

static bool stop;

struct thread {
	pthread_t id;
	const struct stress_op *op;
	unsigned long rounds;
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	do {
		t->op->round(t->op->arg);
		t->rounds++;
	} while (!__atomic_load_n(&stop, __ATOMIC_RELAXED));
	return NULL;
}

static unsigned int hammer_seconds(void)
{
	const char *text = getenv("GMEM_TEST_SECONDS");

	return text ? atoi_positive("GMEM_TEST_SECONDS", text) : 3;
}

void stress(const struct stress_op *ops, size_t n)
{
	struct thread *threads = calloc(n, sizeof(*threads));

	TEST_ASSERT(threads, "out of memory");
	stop = false;
	for (size_t i = 0; i < n; i++) {
		threads[i].op = &ops[i];
		TEST_ASSERT(!pthread_create(&threads[i].id, NULL, thread_main, &threads[i]),
			    "pthread_create");
	}
	sleep(hammer_seconds());
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < n; i++) {
		pthread_join(threads[i].id, NULL);
		pr_info("%s: %lu rounds\n", ops[i].name, threads[i].rounds);
	}
	free(threads);
}
