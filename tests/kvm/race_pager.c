// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pager that dies and is taken over from, holes, and two guests, all at once.
 */
#include <pthread.h>

#include "claims.h"
#include "machine.h"
#include "paging.h"
#include "ring.h"

#define PAGES		PAGING_PAGES
#define SECONDS		5

static volatile bool stop;

/* Serves each fault; every so often dies and takes over from itself. */
static void *pager_thread(void *arg)
{
	struct machine *m = arg;
	int pager = __pager(m->view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
	struct kvm_gmem_event event;
	unsigned int served = 0;

	TEST_ASSERT(pager >= 0, "pager: errno %d", errno);
	while (!stop) {
		bool idle = !has_event(pager, 1);

		if (!idle) {
			TEST_ASSERT(read(pager, &event, sizeof(event)) == sizeof(event), "read");
			if (event.type != KVM_GMEM_EVENT_FAULT)
				continue;
		}
		/* Dies without an answer, and owes anew what holes have taken from it. */
		if (idle || ++served % 16 == 0) {
			close(pager);
			pager = __pager(m->view, 0, PAGES, KVM_GMEM_PAGER_TAKEOVER);
			TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
			continue;
		}
		answer(pager, KVM_GMEM_ANSWER_COPY, event.offset / PAGE_SIZE, 1,
		       content(1, event.offset / PAGE_SIZE, 1));
	}
	close(pager);
	return (void *)(uintptr_t)served;
}

/* The same by a ring; vCPUs look at every other one for a while. */
static void *ring_pager_thread(void *arg)
{
	struct machine *m = arg;
	unsigned int served = 0, rings = 0;

	while (!stop) {
		int pager = __pager(m->view, 0, PAGES, KVM_GMEM_PAGER_TAKEOVER);
		struct kvm_gmem_event event;
		struct ring ring;

		TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
		ring_open(&ring, pager, 1 << rings % 4, 4, rings % 2 ? 500000 : 0);
		rings++;
		while (!stop && has_event(pager, 1) && ++served % 16) {
			if (!ring_take(&ring, &event))
				ring_enter(&ring);
			else if (event.type == KVM_GMEM_EVENT_FAULT)
				ring_copy(&ring, 1, event.offset / PAGE_SIZE);
			while (!ring_is_done(&ring))
				ring_enter(&ring);
		}
		ring_close(&ring);
	}
	return (void *)(uintptr_t)served;
}

static void *guest_thread(void *arg)
{
	struct machine *m = arg;
	uint64_t looks = 0;

	/* A page is whole: as served, or zero after a hole. */
	for (uint64_t page = 0; !stop; page = (page * 5 + 3) % PAGES, looks++) {
		uint64_t found = machine_call(m, guest_look, page, 0, 0);

		TEST_ASSERT(!found || found == pattern_word(1, page, 0), "page %lu is %lx", page,
			    found);
	}
	return (void *)looks;
}

static void soak_with(void *(*pager_fn)(void *))
{
	struct machine *m, *other;
	pthread_t threads[3];
	void *results[3];
	int pager;

	m = machine_create(PAGES);
	other = machine_link(m->view, PAGES);
	close(pager_of(m));
	pthread_create(&threads[0], NULL, pager_fn, m);
	pthread_create(&threads[1], NULL, guest_thread, m);
	pthread_create(&threads[2], NULL, guest_thread, other);

	for (time_t end = time(NULL) + SECONDS; time(NULL) < end; usleep(2000)) {
		uint64_t page = random() % PAGES;

		punch_pages(m->view, page, 1);
	}
	stop = true;
	pthread_join(threads[0], &results[0]);
	/* Nobody is left waiting. */
	pager = __pager(m->view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
	for (uint64_t page = 0; page < PAGES; page++)
		punch_pages(m->view, page, 1);
	pthread_join(threads[1], &results[1]);
	pthread_join(threads[2], &results[2]);
	TEST_ASSERT(pager >= 0, "errno %d", errno);
	printf("%lu faults served, %lu and %lu looks\n", (uintptr_t)results[0],
	       (uintptr_t)results[1], (uintptr_t)results[2]);
}

static void soak(void)
{
	require_pager();
	soak_with(pager_thread);
}

static void soak_by_ring(void)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_PAGER_RING,
		       "these modules have no ring");
	soak_with(ring_pager_thread);
}

static const struct claim claims[] = {
	SLOW_CLAIM(soak, 120, "pages are whole: pager, its deaths, holes and two guests at once"),
	SLOW_CLAIM(soak_by_ring, 120, "so are they by a ring"),
};

CLAIMS_MAIN(claims);
