// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pager that dies and is taken over from, holes, and two guests, all at once. And
 * touches in the moment of a takeover.
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

/*
 * Whether missing pages fail is each pager's own: of one that is gone and the next one, no
 * touch sees one's death and the other's flag.
 */
#define TURNS	400

static struct machine *turning;
static pthread_barrier_t turn;

/*
 * Each page once: it waits, is answered, or comes as zeroes. By a guest, which takes no
 * lock that a takeover holds.
 */
static void *touch_in_turn(void *arg)
{
	(void)arg;
	for (uint64_t page = 0; page < TURNS; page++) {
		int err;

		pthread_barrier_wait(&turn);
		err = guest_try_touch(turning, page);
		TEST_ASSERT(!err, "page %lu has failed: errno %d", page, err);
		pthread_barrier_wait(&turn);
	}
	return NULL;
}

static int take_over(uint64_t first, uint64_t n, uint64_t flags)
{
	int pager = __pager(turning->view, first, n, KVM_GMEM_PAGER_TAKEOVER | flags);

	TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
	return pager;
}

static void fail_is_each_pagers_own(void)
{
	pthread_t thread;

	require_pager();
	turning = machine_create(TURNS);
	close(pager_of(turning));
	/* Every other page is owed from the beginning. */
	for (uint64_t page = 1; page < TURNS; page += 2)
		punch_pages(turning->view, page, 1);
	pthread_barrier_init(&turn, NULL, 2);
	pthread_create(&thread, NULL, touch_in_turn, NULL);

	for (uint64_t page = 0; page < TURNS; page++) {
		bool owed = page % 2 == 0;
		int pager;

		/* Dies without FAIL, and the next one has it; or the other way round. */
		close(take_over(0, 0, owed ? 0 : KVM_GMEM_PAGER_FAIL));
		pthread_barrier_wait(&turn);
		usleep(random() % 2000);
		pager = owed ? take_over(0, 0, KVM_GMEM_PAGER_FAIL) : take_over(page, 1, 0);
		usleep(random() % 2000);
		answer(pager, KVM_GMEM_ANSWER_ZERO, page, 1, NULL);
		pthread_barrier_wait(&turn);
		close(pager);
	}
	pthread_join(thread, NULL);
}

static const struct claim claims[] = {
	SLOW_CLAIM(soak, 120, "pages are whole: pager, its deaths, holes and two guests at once"),
	SLOW_CLAIM(soak_by_ring, 120, "so are they by a ring"),
	SLOW_CLAIM(fail_is_each_pagers_own, 120,
		   "no touch fails for one pager's death and the next one's FAIL"),
};

CLAIMS_MAIN(claims);
