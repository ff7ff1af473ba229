// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory failure against everything that takes pages away. It arrives with the
 * page locked, while holes lock pages inside the inode's lock: whoever takes
 * the two in both orders hangs here for ever, and the claim's time limit says
 * so.
 */
#include <pthread.h>
#include <sys/stat.h>

#include "claims.h"
#include "machine.h"
#include "poison.h"
#include "tracing.h"

#define PAGES	128
#define BAD	(PAGES - 1)	/* the page that goes bad: a hole gets there last */
#define TIMES	100

/*
 * A page of @a goes bad, @b acts at the same moment, @c's guest faults all along.
 */
static struct machine *a, *b, *c;
static pthread_barrier_t barrier;
static bool stop;

static void *act_again_and_again(void *arg)
{
	void (*act)(void) = arg;

	for (unsigned int i = 0; i < claim_times(TIMES); i++) {
		pthread_barrier_wait(&barrier);
		act();
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void *touch_again_and_again(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		int err = guest_try_touch(c, BAD);

		TEST_ASSERT(!err || err == EHWPOISON, "KVM_RUN: errno %d", err);
	}
	return NULL;
}

/* The frame of the page, brought in afresh among all the others. */
static uint64_t fresh_pfn(void)
{
	struct stat st;

	TEST_ASSERT(!fstat(a->view, &st), "fstat");
	punch_pages(a->view, 0, PAGES);
	allocate_pages(a->view, 0, PAGES);
	trace_clear();
	guest_touch(a, BAD, 1);
	return trace_fault_pfn(st.st_ino, BAD);
}

static void go_bad_against(void (*act)(void))
{
	pthread_t actor, toucher;
	int fd, bad = 0;

	require_link();
	fd = poison_open();
	trace_start("gmem_fault");
	a = machine_create(PAGES);
	b = machine_link(a->view, PAGES);
	c = machine_link(a->view, PAGES);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&actor, NULL, act_again_and_again, act);
	pthread_create(&toucher, NULL, touch_again_and_again, NULL);

	for (unsigned int i = 0; i < claim_times(TIMES); i++) {
		uint64_t pfn = fresh_pfn();

		/*
		 * The frame may be free when the error comes, but hardly for
		 * long enough to be anyone else's.
		 */
		pthread_barrier_wait(&barrier);
		usleep(i % 20 * 50);
		poison_pfn(fd, pfn);
		pthread_barrier_wait(&barrier);
		bad += guest_try_touch(a, BAD) == EHWPOISON;
	}
	pthread_join(actor, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(toucher, NULL);
	pr_info("%d of %u pages are bad afterwards\n", bad, claim_times(TIMES));

	/* All of them work afterwards, and the errors are gone with their pages. */
	punch_pages(a->view, 0, PAGES);
	guest_write(a, 0, PAGES, 1);
	guest_expect(b, 0, PAGES, 1);
	guest_expect(c, 0, PAGES, 1);
}

static void punch(void)
{
	punch_pages(b->view, 0, PAGES);
}

static void release_and_link(void)
{
	machine_close_view(b);
	machine_unbind(b);
	b->view = link_view(b->vm, a->view);
	machine_bind(b, 0);
}

static void unbind_and_bind(void)
{
	machine_unbind(b);
	machine_bind(b, 0);
}

static void against_punch(void)
{
	go_bad_against(punch);
}

static void against_release(void)
{
	go_bad_against(release_and_link);
}

static void against_unbind(void)
{
	go_bad_against(unbind_and_bind);
}

static const struct claim claims[] = {
	CLAIM(against_punch, "pages go bad while they are punched away, 100 times"),
	CLAIM(against_release, "pages go bad while a view is released and linked, 100 times"),
	CLAIM(against_unbind, "pages go bad while a slot is deleted and made, 100 times"),
};

CLAIMS_MAIN(claims);
