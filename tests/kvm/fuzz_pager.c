// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hostile pager: whatever it says, the kernel is whole, and the VM's owner can
 * put another in its place.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#include "claims.h"
#include "machine.h"
#include "paging.h"
#include "ring.h"

#define PAGES		PAGING_PAGES
#define SECONDS		4
#define ENTRIES		8
#define BUFFERS		4

static volatile bool stop;

/* xorshift: each thread's own, told by its seed. */
static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A number that is often nearly right. */
static uint64_t odd_number(uint64_t *state)
{
	static const uint64_t odd[] = {
		0, 1, PAGE_SIZE - 1, PAGE_SIZE, PAGES * PAGE_SIZE, -1ULL, -PAGE_SIZE, 1ULL << 63,
		1ULL << 32, INT64_MAX, 1ULL << 47,
	};
	uint64_t r = next(state);

	switch (r % 4) {
	case 0:
		return odd[r / 4 % ARRAY_SIZE(odd)];
	case 1:
		return r;
	default:
		return r / 4 % (PAGES + 2) * PAGE_SIZE;
	}
}

static struct kvm_gmem_answer odd_answer(uint64_t *state, const struct ring *ring)
{
	uint64_t r = next(state);

	return (struct kvm_gmem_answer){
		.op = r % 7, .offset = odd_number(state), .size = odd_number(state) % (1 << 20),
		.from = r & 128 ? odd_number(state) :
			r & 256 ? (uint64_t)ring->content : ring->layout.content,
	};
}

/* Scribbles over the ring, which has no order of its own any more. */
static void *scribble(void *arg)
{
	const struct ring *ring = arg;
	uint64_t state = 0x9e3779b97f4a7c15;
	volatile uint32_t *words = (void *)ring->head;

	while (!stop) {
		uint64_t r = next(&state);

		switch (r % 4) {
		case 0:
			words[r / 4 % (ring->layout.content / 4)] = odd_number(&state);
			break;
		case 1:
			ring->head->answer_head += r / 4 % (ENTRIES + 3) - 1;
			break;
		case 2:
			ring->head->event_tail += r / 4 % 3 - 1;
			break;
		default:
			ring->answers[r / 4 % ENTRIES] = odd_answer(&state, ring);
		}
	}
	return NULL;
}

static void odd_ioctl(uint64_t *state, const struct ring *ring)
{
	struct kvm_gmem_answer answers[3];
	uint64_t buffer[16], r = next(state);
	struct kvm_gmem_pager_answer args = {
		.answers = (uint64_t)answers, .nr = r / 8 % 5, .flags = !(r / 64 % 16),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(answers); i++)
		answers[i] = odd_answer(state, ring);
	for (unsigned int i = 0; i < ARRAY_SIZE(buffer); i++)
		buffer[i] = odd_number(state);

	switch (r % 8) {
	case 0:
	case 1:
		ioctl(ring->pager, KVM_GMEM_PAGER_ENTER, 0);
		break;
	case 2:
	case 3:
	case 4:
		ioctl(ring->pager, KVM_GMEM_PAGER_ANSWER, &args);
		break;
	case 5:
		/* Its numbers, and some that are not. DETACH would end the game. */
		if (r / 8 % 16 + 0xe0 != 0xe8)
			ioctl(ring->pager, _IOC(_IOC_READ | _IOC_WRITE, KVMIO, r / 8 % 16 + 0xe0,
						r / 128 % 128), buffer);
		break;
	case 6:
		ioctl(ring->pager, KVM_GMEM_PRESENT, buffer);
		break;
	default:
		if (has_event(ring->pager, 0))
			(void)!read(ring->pager, buffer, r / 8 % sizeof(buffer));
	}
}

static void *talk(void *arg)
{
	uint64_t state = 0x2545f4914f6cdd1d, calls = 0;

	for (; !stop; calls++)
		odd_ioctl(&state, arg);
	return (void *)calls;
}

/* A page may be anything now, or have failed: the guest only has to get on. */
static void *guest_thread(void *arg)
{
	struct machine *m = arg;
	uint64_t looks = 0;

	for (uint64_t page = 0; !stop; page = (page * 5 + 3) % PAGES, looks++)
		machine_try(m, guest_look, page, 0, 0);
	return (void *)looks;
}

static void hostile_pager(void)
{
	pthread_t threads[3];
	void *results[3];
	struct machine *m;
	struct ring ring;
	int pager;

	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_PAGER_RING,
		       "these modules have no ring");
	m = machine_create(PAGES);
	pager = pager_of(m);
	/* It never blocks in a read. */
	TEST_ASSERT(!fcntl(pager, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
	ring_open(&ring, pager, ENTRIES, BUFFERS, 100000);
	pthread_create(&threads[0], NULL, scribble, &ring);
	pthread_create(&threads[1], NULL, talk, &ring);
	pthread_create(&threads[2], NULL, guest_thread, m);

	for (time_t end = time(NULL) + SECONDS; time(NULL) < end; usleep(3000))
		punch_pages(m->view, random() % PAGES, 1);

	stop = true;
	pthread_join(threads[0], &results[0]);
	pthread_join(threads[1], &results[1]);
	ring_close(&ring);

	/* The owner takes all from it. */
	pager = __pager(m->view, 0, PAGES, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
	punch_pages(m->view, 0, PAGES);
	pthread_join(threads[2], &results[2]);
	/* What the guest found no longer owed it has as zeroes. */
	punch_pages(m->view, 0, PAGES);
	close(pager);
	pager = __pager(m->view, 0, PAGES, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
	copy(pager, 2, 0, PAGES);
	guest_expect(m, 0, PAGES, 2);
	printf("%lu calls, %lu looks\n", (uintptr_t)results[1], (uintptr_t)results[2]);
}

static const struct claim claims[] = {
	SLOW_CLAIM(hostile_pager, 120, "nonsense by ioctl and by the ring harms nobody"),
};

CLAIMS_MAIN(claims);
