// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring full of answers that others have asked for: nobody waits for them.
 */
#include <pthread.h>
#include <signal.h>

#include "claims.h"
#include "machine.h"
#include "paging.h"
#include "ring.h"

#define BIG	KVM_GMEM_RING_MAX_BUFFERS	/* pages of the largest answer: 16 MiB */
#define MANY	32				/* of these take a while */
#define PAGES	((MANY + 1) * BIG)

/**
 * struct turns - a machine whose first pages are bound, of a large inode with a ring
 * @m: the machine
 * @ring: the ring; no vCPU looks at it before it sleeps
 */
struct turns {
	struct machine *m;
	struct ring ring;
};

static void turns_create(struct turns *t, uint64_t flags, uint32_t buffers)
{
	int pager;

	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_PAGER_RING,
		       "these modules have no ring");
	t->m = machine_bare(PAGING_PAGES);
	t->m->view = vm_create_guest_memfd(t->m->vm, (uint64_t)PAGES * PAGE_SIZE, flags);
	if (!flags)
		machine_bind(t->m, 0);
	pager = __pager(t->m->view, 0, PAGES, 0);
	TEST_ASSERT(pager >= 0, "KVM_GMEM_CREATE_PAGER: errno %d", errno);
	ring_open(&t->ring, pager, 64, buffers, 0);
}

/* @n answers that take a while and that no test waits for, from the @first on. */
static void put_big(struct turns *t, unsigned int first, unsigned int n)
{
	for (unsigned int i = first; i < first + n; i++)
		ring_put(&t->ring, KVM_GMEM_ANSWER_ZERO, (i + 1) * BIG, BIG, 0);
}

static void put_page(struct turns *t, uint64_t page)
{
	ring_put(&t->ring, KVM_GMEM_ANSWER_ZERO, page, 1, 0);
}

static uint32_t carried_out(const struct turns *t)
{
	return __atomic_load_n(&t->ring.head->answer_tail, __ATOMIC_ACQUIRE);
}

static void wait_carried_out(const struct turns *t, uint32_t n)
{
	while (carried_out(t) < n)
		usleep(100);
}

/* All of the answers, in the end, with nothing lost of those that were begun. */
static void expect_all_in_full(struct turns *t)
{
	TEST_ASSERT(ioctl(t->ring.pager, KVM_GMEM_PAGER_ENTER, 0) >= 0, "errno %d", errno);
	TEST_ASSERT(ring_is_done(&t->ring), "%u carried out", carried_out(t));
	for (uint32_t i = 0; i < carried_out(t); i++) {
		volatile struct kvm_gmem_answer *a = &t->ring.answers[i];

		TEST_ASSERT(!a->error && a->done == a->size, "answer %u: error %d, %llu of %llu",
			    i, a->error, a->done, a->size);
	}
}

/* One KVM_RUN of a guest that looks at page 3, in a thread: its errno. */
static void *run_thread(void *arg)
{
	struct turns *t = arg;

	return (void *)(long)(ioctl(t->m->vcpu->fd, KVM_RUN, NULL) ? errno : 0);
}

static pthread_t run_start(struct turns *t)
{
	pthread_t thread;

	machine_prepare(t->m, guest_look, 3, 0, 0);
	TEST_ASSERT(!pthread_create(&thread, NULL, run_thread, t), "thread");
	return thread;
}

static void nothing(int signal)
{
	(void)signal;
}

/*
 * What it waits for has not come: it leaves for the signal, with answers left; returns whether.
 * That none are may be for this thread, which had no CPU for so long.
 */
static bool interrupt(struct turns *t, pthread_t run)
{
	struct sigaction action = { .sa_handler = nothing };
	void *err;

	sigaction(SIGUSR1, &action, NULL);
	pthread_kill(run, SIGUSR1);
	pthread_join(run, &err);
	TEST_ASSERT_EQ((long)err, EINTR);
	return !ring_is_done(&t->ring);
}

static void turns_free(struct turns *t)
{
	ring_close(&t->ring);
	machine_free(t->m);
}

/* One time of some is enough. */
static void some_time(bool (*leaves)(void))
{
	for (int tries = 0; tries < 5; tries++) {
		if (leaves())
			return;
	}
	TEST_FAIL("the vCPU waited for all of the answers, five times");
}

static void *enter_thread(void *arg)
{
	struct turns *t = arg;

	return (void *)(long)ioctl(t->ring.pager, KVM_GMEM_PAGER_ENTER, 0);
}

static bool signalled_while_it_waits(void)
{
	struct turns t;
	pthread_t thread, run;
	void *entered;
	bool left;

	turns_create(&t, 0, 4);
	put_big(&t, 0, MANY);
	TEST_ASSERT(!pthread_create(&thread, NULL, enter_thread, &t), "thread");
	wait_carried_out(&t, 1);
	run = run_start(&t);
	TEST_ASSERT(has_event(t.ring.pager, claim_patience() * 1000), "no event");
	usleep(10000);
	left = interrupt(&t, run);
	pthread_join(thread, &entered);
	TEST_ASSERT_EQ((long)entered, MANY);
	expect_all_in_full(&t);
	turns_free(&t);
	return left;
}

static void signal_ends_the_wait(void)
{
	some_time(signalled_while_it_waits);
}

static void leaves_with_its_page(void)
{
	struct turns t;
	struct touch touch = { .page = 3 };

	turns_create(&t, 0, 4);
	put_page(&t, 3);
	put_big(&t, 0, MANY);
	touch.m = t.m;
	touch_start(&touch);
	touch_end(&touch, 0);
	TEST_ASSERT(carried_out(&t) < 4, "the vCPU carried out %u answers", carried_out(&t));
	expect_all_in_full(&t);
}

static void host_leaves_with_its_page(void)
{
	struct host_touch touch = { };
	struct turns t;

	turns_create(&t, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED, 4);
	put_page(&t, 3);
	put_big(&t, 0, MANY);
	host_touch_start(&touch, t.m->view, 3);
	TEST_ASSERT_EQ(host_touch_end(&touch), 0UL);
	TEST_ASSERT(carried_out(&t) < 4, "the host's thread carried out %u answers",
		    carried_out(&t));
	expect_all_in_full(&t);
}

/* The page is the first of many that one answer is for. */
static void leaves_in_the_midst(void)
{
	struct turns t;
	struct touch touch = { .page = 3, .pattern = 5 };

	turns_create(&t, 0, BIG);
	memcpy(t.ring.content, content(5, 0, PAGING_PAGES), PAGING_PAGES * PAGE_SIZE);
	ring_put(&t.ring, KVM_GMEM_ANSWER_COPY, 0, BIG, 0);
	touch.m = t.m;
	touch_start(&touch);
	touch_end(&touch, 0);
	TEST_ASSERT(!carried_out(&t), "the vCPU carried out all of the answer");
	expect_all_in_full(&t);
	guest_expect(t.m, 0, PAGING_PAGES, 5);
}

static bool signalled_in_the_midst(void)
{
	struct turns t;
	pthread_t run;
	bool left;

	turns_create(&t, 0, 4);
	put_big(&t, 0, MANY);
	run = run_start(&t);
	wait_carried_out(&t, 2);
	left = interrupt(&t, run);
	expect_all_in_full(&t);
	turns_free(&t);
	return left;
}

static void interrupted_in_the_midst(void)
{
	some_time(signalled_in_the_midst);
}

/* The pager sleeps: it saw no WAKE when it put its answers. */
static void hands_the_rest_on(void)
{
	struct turns t;
	struct touch touches[2] = { { .page = 3 }, { .page = 4 } };

	turns_create(&t, 0, 4);
	put_big(&t, 0, 6);
	put_page(&t, 3);
	put_big(&t, 6, 6);
	put_page(&t, 4);
	touches[0].m = t.m;
	touches[1].m = machine_link(t.m->view, PAGING_PAGES);
	touch_start(&touches[0]);
	wait_carried_out(&t, 1);
	touch_start(&touches[1]);
	touch_end(&touches[0], 0);
	touch_end(&touches[1], 0);
	expect_all_in_full(&t);
}

static const struct claim claims[] = {
	CLAIM(signal_ends_the_wait, "a signal ends a vCPU's wait, whoever carries out answers"),
	CLAIM(leaves_with_its_page, "a vCPU whose page is there leaves others' answers alone"),
	CLAIM(host_leaves_with_its_page, "so does the host's fault"),
	CLAIM(leaves_in_the_midst, "also in the midst of a large one, which is finished later"),
	CLAIM(interrupted_in_the_midst, "and for a signal"),
	CLAIM(hands_the_rest_on, "another one that sleeps goes on with the rest"),
};

CLAIMS_MAIN(claims);
