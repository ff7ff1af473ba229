// SPDX-License-Identifier: GPL-2.0-only
/*
 * Answers that come while the guest is being told that a page is not there, by a
 * pager on another CPU: by ioctl, by a ring, and by one that dies in between.
 */
#include <pthread.h>

#include "async.h"
#include "claims.h"
#include "paging.h"
#include "ring.h"

#define PAGES		PAGING_PAGES
#define SECONDS		5

static struct machine *m;
static int pager;
static volatile bool stop;

static void own_all(void)
{
	pager = __pager(m->view, 0, PAGES, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
}

static uint64_t page_of(const struct kvm_gmem_event *event)
{
	return event->offset / PAGE_SIZE;
}

/* Somebody waits for each page that is asked for here. */
static void *by_ioctl(void *arg)
{
	struct kvm_gmem_event event;

	while (!stop) {
		if (!has_event(pager, 1))
			continue;
		TEST_ASSERT(read(pager, &event, sizeof(event)) == sizeof(event), "read");
		if (event.type == KVM_GMEM_EVENT_FAULT)
			copy(pager, 1, page_of(&event), 1);
	}
	return arg;
}

static void *by_dying(void *arg)
{
	struct kvm_gmem_event event;
	unsigned int n = 0;

	while (!stop) {
		if (!has_event(pager, 1))
			continue;
		TEST_ASSERT(read(pager, &event, sizeof(event)) == sizeof(event), "read");
		if (event.type == KVM_GMEM_EVENT_FAULT && ++n % 16)
			answer(pager, KVM_GMEM_ANSWER_COPY, page_of(&event), 1,
			       content(1, page_of(&event), 1));
		if (n % 16 == 0) {
			close(pager);
			own_all();
			n++;
		}
	}
	return arg;
}

static void *by_ring(void *arg)
{
	struct kvm_gmem_event event;
	struct ring ring;

	ring_open(&ring, pager, 8, 4, 0);
	while (!stop) {
		if (!has_event(pager, 1))
			continue;
		if (!ring_take(&ring, &event))
			ring_enter(&ring);
		else if (event.type == KVM_GMEM_EVENT_FAULT)
			ring_copy(&ring, 1, page_of(&event));
		/* A waiter says so after it was told, if it was not carried out by then. */
		while (!ring_is_done(&ring) && !stop)
			ring_enter(&ring);
	}
	pager = -1;
	ring_close(&ring);
	return arg;
}

static void rounds(void *(*serve)(void *))
{
	unsigned int n = 0;

	require_async();
	m = async_machine(KVM_X86_SW_PROTECTED_VM, PAGES);
	for (time_t end = time(NULL) + SECONDS; time(NULL) < end; n++) {
		pthread_t thread;

		punch_pages(m->view, 0, PAGES);
		own_all();
		stop = false;
		TEST_ASSERT(!pthread_create(&thread, NULL, serve, NULL), "thread");
		/* The tasks assert that nothing is told twice, nor what was not asked. */
		machine_call(m, async_tasks, 0, PAGES, 1);
		stop = true;
		pthread_join(thread, NULL);
		if (pager >= 0)
			close(pager);
		TEST_ASSERT_EQ(ASYNC(m, told), ASYNC(m, ready));
	}
	printf("%u rounds, told %lu times\n", n, ASYNC(m, told));
	TEST_ASSERT(ASYNC(m, told) > n, "the guest hardly ever waits");
}

static void ioctl_answers(void)
{
	rounds(by_ioctl);
}

static void ring_answers(void)
{
	rounds(by_ring);
}

static void pager_dies(void)
{
	rounds(by_dying);
}

static const struct claim claims[] = {
	SLOW_CLAIM(ioctl_answers, 120, "each task of the guest gets its page, and goes on once"),
	SLOW_CLAIM(ring_answers, 120, "so it does by a ring"),
	SLOW_CLAIM(pager_dies, 120, "so it does if the pager dies again and again"),
};

CLAIMS_MAIN(claims);
