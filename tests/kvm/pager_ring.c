// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pager's ring: events and answers without a system call.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#include "claims.h"
#include "machine.h"
#include "paging.h"
#include "populate.h"
#include "ring.h"

#define PAGES	PAGING_PAGES

static void require_ring(void)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_PAGER_RING,
		       "these modules have no ring");
}

static struct machine *machine_with_ring(struct ring *ring, uint32_t entries, uint32_t poll_ns)
{
	struct machine *m;

	require_ring();
	m = machine_create(PAGES);
	ring_open(ring, pager_of(m), entries, 4, poll_ns);
	return m;
}

static void expect_ring_event(struct ring *ring, uint32_t type, uint64_t page, uint64_t n)
{
	struct kvm_gmem_event event = ring_next_event(ring);

	TEST_ASSERT(event.type == type && event.offset == page * PAGE_SIZE &&
		    event.size == n * PAGE_SIZE && event.when, "event of type %u at %#llx",
		    event.type, event.offset);
}

/*
 * The guest does not look, but for once after it has said that it will sleep:
 * most of the answers wait for ENTER.
 */
static void sleeper_is_woken(void)
{
	unsigned int entered = 0;
	struct machine *m;
	struct ring ring;

	m = machine_with_ring(&ring, 4, 0);
	for (uint64_t page = 0; page < 16; page++) {
		struct touch touch = { .m = m, .page = page, .pattern = 5 };

		touch_start(&touch);
		expect_ring_event(&ring, KVM_GMEM_EVENT_FAULT, page, 1);
		/* It says that it will sleep, looks once more, and does. */
		wait_asleep(thread_id(touch.thread), IN_PAGER_WAIT);
		ring_copy(&ring, 5, page);
		usleep(10000);
		if (!ring_is_done(&ring)) {
			TEST_ASSERT(!touch.done, "the guest has page %lu", page);
			entered += ring_enter(&ring);
		}
		touch_end(&touch, 0);
		TEST_ASSERT(ring_is_done(&ring), "not carried out");
		TEST_ASSERT(!ring.head->wake, "a sleeper, %#x", ring.head->wake);
	}
	TEST_ASSERT(!has_event(ring.pager, 0), "an event more");
	TEST_ASSERT(entered, "nobody slept");
}

/* More than the kernel takes at once, in no round number, and not from the first buffer. */
static void many_pages_an_answer(void)
{
	volatile struct kvm_gmem_answer *entry;
	struct machine *m;
	struct ring ring;

	require_ring();
	m = machine_create(PAGES);
	ring_open(&ring, pager_of(m), 4, PAGES, 0);
	memcpy(ring.content + 2 * PAGE_SIZE, pattern_pages(5, 47, 4), 47 * PAGE_SIZE);
	entry = ring_put(&ring, KVM_GMEM_ANSWER_COPY, 5, 47, 2);
	TEST_ASSERT_EQ(ioctl(ring.pager, KVM_GMEM_PAGER_ENTER, 0), 1);
	TEST_ASSERT_EQ(entry->error, 0);
	TEST_ASSERT_EQ(entry->done, 47 * PAGE_SIZE);
	guest_expect(m, 5, 47, 4);
}

#define LARGE	KVM_GMEM_RING_MAX_BUFFERS	/* pages of an answer */
#define LARGES	30				/* such answers, which take a while */

/*
 * One VM carries out answers until its own page is there, and leaves one behind. Meanwhile
 * another has gone to sleep that waits for that one: it found all of them in the first one's
 * hands. The pager saw no sleeper when it put them, and does not enter. Returns whether it came
 * to that.
 */
static bool leave_answer_behind(void)
{
	struct touch helper = { .page = LARGES * LARGE }, sleeper = { .page = helper.page + 1 };
	uint64_t pages = sleeper.page + 1;
	struct ring ring;
	bool asleep;

	helper.m = machine_create(pages);
	sleeper.m = machine_link(helper.m->view, pages);
	ring_open(&ring, pager_of(helper.m), 32, 0, 0);
	for (unsigned int i = 0; i < LARGES; i++)
		ring_put(&ring, KVM_GMEM_ANSWER_ZERO, i * LARGE, LARGE, 0);
	ring_put(&ring, KVM_GMEM_ANSWER_ZERO, helper.page, 1, 0);
	ring_put(&ring, KVM_GMEM_ANSWER_ZERO, sleeper.page, 1, 0);

	touch_start(&helper);
	while (!ring.head->answer_tail)
		usleep(100);
	touch_start(&sleeper);
	wait_asleep(thread_id(sleeper.thread), IN_PAGER_WAIT);
	asleep = ring.head->answer_tail <= LARGES;

	touch_end(&helper, 0);
	touch_end(&sleeper, 0);
	TEST_ASSERT(ring_is_done(&ring), "not carried out");
	ring_close(&ring);
	machine_free(sleeper.m);
	machine_free(helper.m);
	return asleep;
}

static void one_passes_on(void)
{
	double until = 0;

	require_ring();
	while (!leave_answer_behind())
		TEST_ASSERT(claim_is_patient(&until), "nobody slept while another was at work");
}

struct server {
	struct ring *ring;
	volatile bool stop;
	unsigned int served, entered;
};

/* Never sleeps itself; enters only where somebody else does. */
static void *server_thread(void *arg)
{
	struct server *server = arg;
	struct kvm_gmem_event event;

	while (!server->stop) {
		if (!ring_take(server->ring, &event))
			continue;
		if (event.type != KVM_GMEM_EVENT_FAULT)
			continue;
		ring_copy(server->ring, 6, event.offset / PAGE_SIZE);
		server->served++;
		while (!ring_is_done(server->ring))
			server->entered += ring_enter(server->ring);
	}
	return NULL;
}

/* The vCPU takes the answer itself. One that is late sleeps, on a slow machine. */
static void no_system_call(void)
{
	struct server server = { };
	pthread_t thread;
	struct machine *m;
	struct ring ring;

	m = machine_with_ring(&ring, 64, KVM_GMEM_RING_MAX_POLL_NS);
	server.ring = &ring;
	TEST_ASSERT(!pthread_create(&thread, NULL, server_thread, &server), "thread");
	guest_expect(m, 0, PAGES, 6);
	server.stop = true;
	pthread_join(thread, NULL);
	TEST_ASSERT_EQ(server.served, PAGES);
	printf("%u served, %u of them by a system call\n", server.served, server.entered);
	TEST_ASSERT(server.entered < server.served, "each by a system call");
}

static void host_sleeps_too(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct host_touch touch = { };
	struct ring ring;
	int view;

	require_ring();
	view = vm_create_guest_memfd(vm, PAGES * PAGE_SIZE,
				     GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	ring_open(&ring, __pager(view, 0, PAGES, 0), 4, 4, 0);
	host_touch_start(&touch, view, 7);
	expect_ring_event(&ring, KVM_GMEM_EVENT_FAULT, 7, 1);
	wait_asleep(thread_id(touch.thread), IN_PAGER_WAIT);
	ring_copy(&ring, 2, 7);
	TEST_ASSERT(ring_enter(&ring), "no sleeper");
	TEST_ASSERT_EQ(host_touch_end(&touch), pattern_word(2, 7, 0));
}

/* Of a ring that dies meanwhile it does not wait for an answer. */
static void host_goes_to_the_next(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct host_touch touch = { };
	struct ring ring;
	int view, pager;

	require_ring();
	view = vm_create_guest_memfd(vm, PAGES * PAGE_SIZE,
				     GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	ring_open(&ring, __pager(view, 0, PAGES, 0), 4, 4, 0);
	host_touch_start(&touch, view, 7);
	while (!ring.head->wake)
		usleep(1000);
	ring_close(&ring);

	pager = __pager(view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
	ring_open(&ring, pager, 4, 4, 0);
	expect_ring_event(&ring, KVM_GMEM_EVENT_FAULT, 7, 1);
	while (!ring.head->wake)
		usleep(1000);
	ring_copy(&ring, 2, 7);
	while (!ring_is_done(&ring))
		ring_enter(&ring);
	TEST_ASSERT_EQ(host_touch_end(&touch), pattern_word(2, 7, 0));
}

/* A VM touches a page, and the ring has no room for the event. */
static void touch_beyond_room(struct touch *touch, struct machine *m, uint64_t page,
			      struct ring *ring)
{
	*touch = (struct touch){ .m = m, .page = page, .pattern = 3 };
	touch_start(touch);
	while (!(ring->head->wake & KVM_GMEM_RING_MORE))
		usleep(1000);
}

/* Two VMs that touch a page each: the second one's event finds no room. */
static void touch_two(struct touch *touches, struct machine *m, struct ring *ring)
{
	touches[0] = (struct touch){ .m = m, .page = 0, .pattern = 3 };
	touch_start(&touches[0]);
	TEST_ASSERT(has_event(ring->pager, claim_patience() * 1000), "no event");
	touch_beyond_room(&touches[1], machine_link(m->view, PAGES), 1, ring);
}

static void no_room(void)
{
	struct touch touches[3];
	struct machine *m;
	struct ring ring;

	m = machine_with_ring(&ring, 1, 0);
	touch_two(touches, m, &ring);
	TEST_ASSERT(has_event(ring.pager, 0), "poll does not say so");
	/* By read(2). */
	expect_event(ring.pager, KVM_GMEM_EVENT_FAULT, 1, 1);
	TEST_ASSERT(ring_enter(&ring), "not asked to enter");
	TEST_ASSERT(!(ring.head->wake & KVM_GMEM_RING_MORE), "more");
	/* By the ring. */
	touch_beyond_room(&touches[2], machine_link(m->view, PAGES), 2, &ring);
	expect_ring_event(&ring, KVM_GMEM_EVENT_FAULT, 0, 1);
	TEST_ASSERT(ring_enter(&ring), "not asked to enter");
	expect_ring_event(&ring, KVM_GMEM_EVENT_FAULT, 2, 1);
	TEST_ASSERT(!(ring.head->wake & KVM_GMEM_RING_MORE), "more");
	for (unsigned int i = 0; i < 3; i++) {
		ring_copy(&ring, 3, i);
		while (!ring_is_done(&ring))
			ring_enter(&ring);
		touch_end(&touches[i], 0);
	}
}

/* Carried out by ENTER alone. Returns the answer's error. */
static int answer_by_ring(struct ring *ring, uint32_t op, uint64_t page, uint64_t n,
			  uint32_t buffer)
{
	volatile struct kvm_gmem_answer *entry = ring_put(ring, op, page, n, buffer);

	TEST_ASSERT_EQ(ioctl(ring->pager, KVM_GMEM_PAGER_ENTER, 0), 1);
	TEST_ASSERT(ring_is_done(ring), "not carried out");
	TEST_ASSERT(entry->error || entry->done == entry->size, "%llu done", entry->done);
	return entry->error;
}

static void answers(void)
{
	struct machine *m;
	struct ring ring;

	m = machine_with_ring(&ring, 8, 0);
	memcpy(ring.content, content(4, 10, 4), 4 * PAGE_SIZE);
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_COPY, 10, 4, 0), 0);
	guest_expect(m, 10, 4, 4);
	memcpy(ring.content + 2 * PAGE_SIZE, content(4, 14, 1), PAGE_SIZE);
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_COPY, 14, 1, 2), 0);
	guest_expect(m, 14, 1, 4);
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_ZERO, 20, 2, 0), 0);
	guest_expect(m, 20, 2, 0);
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_CONTINUE, 20, 2, 0), 0);
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_FAIL, 30, 1, 0), 0);
	TEST_ASSERT_EQ(guest_try_touch(m, 30), EHWPOISON);

	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_COPY, 10, 1, 0), EEXIST);
	punch_pages(m->view, 10, 1);
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_COPY, 10, 1, 0), ENOENT);
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_COPY, PAGES, 1, 0), EINVAL);
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_COPY, 40, 0, 0), EINVAL);
	TEST_ASSERT_EQ(answer_by_ring(&ring, 77, 40, 1, 0), EINVAL);
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_ZERO, 0,
				      KVM_GMEM_RING_MAX_BUFFERS + 1, 0), EINVAL);
	/* Past the content, from before it, in part, and by overflow. */
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_COPY, 40, 1, 4), EINVAL);
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_COPY, 40, 2, 3), EINVAL);
	TEST_ASSERT_EQ(answer_by_ring(&ring, KVM_GMEM_ANSWER_COPY, 40, 1, -1U), EINVAL);
	TEST_ASSERT_EQ(guest_try_touch(m, 30), EHWPOISON);
}

/* What a hostile pager writes there. */
static void nonsense(void)
{
	struct touch touch;
	struct machine *m;
	struct ring ring;

	m = machine_with_ring(&ring, 4, 0);
	ring.head->answer_head += 5;
	TEST_ASSERT_EQ(ioctl(ring.pager, KVM_GMEM_PAGER_ENTER, 0), 0);
	ring.head->answer_head -= 6;
	TEST_ASSERT_EQ(ioctl(ring.pager, KVM_GMEM_PAGER_ENTER, 0), 0);
	ring.head->answer_head += 1;

	/* The kernel does not take its own word for it. */
	ring.head->answer_tail = 77;
	ring.head->event_head = 99;
	TEST_ASSERT_EQ(ioctl(ring.pager, KVM_GMEM_PAGER_ENTER, 0), 0);

	ring.head->event_tail = 5;
	touch = (struct touch){ .m = m, .page = 3, .pattern = 1 };
	touch_start(&touch);
	while (!(ring.head->wake & KVM_GMEM_RING_MORE))
		usleep(1000);
	TEST_ASSERT_EQ(ring.head->event_head, 99);
	ring.head->event_tail = 0;
	TEST_ASSERT_EQ(ioctl(ring.pager, KVM_GMEM_PAGER_ENTER, 0), 0);
	TEST_ASSERT_EQ(ring.head->event_head, 1);
	expect_ring_event(&ring, KVM_GMEM_EVENT_FAULT, 3, 1);
	ring_copy(&ring, 1, 3);
	TEST_ASSERT_EQ(ioctl(ring.pager, KVM_GMEM_PAGER_ENTER, 0), 1);
	touch_end(&touch, 0);
}

/* A vCPU that sleeps by the dead pager's ring goes over to the next one's. */
static void dies_and_is_taken_over(void)
{
	struct kvm_gmem_event event;
	struct touch touches[2];
	struct machine *m;
	struct ring ring;
	int pager;

	m = machine_with_ring(&ring, 1, 0);
	touch_two(touches, m, &ring);
	ring_next_event(&ring);
	/* Asked is not asleep yet: it would still look at the ring. */
	for (unsigned int i = 0; i < 2; i++)
		wait_asleep(thread_id(touches[i].thread), IN_PAGER_WAIT);
	/* An answer that nobody has carried out dies too. */
	ring_copy(&ring, 9, 0);
	ring_close(&ring);

	pager = __pager(m->view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 0, 1);
	/* The other one comes by a ring. */
	ring_open(&ring, pager, 4, 4, 0);
	TEST_ASSERT(ring_take(&ring, &event) && event.offset == PAGE_SIZE, "no event");
	for (unsigned int i = 0; i < 2; i++) {
		while (!(ring.head->wake & KVM_GMEM_RING_WAKE))
			usleep(1000);
		ring_copy(&ring, 3, i);
		while (!ring_is_done(&ring))
			ring_enter(&ring);
		touch_end(&touches[i], 0);
	}
}

static void wrong_arguments(void)
{
	static const uint32_t bad_entries[] = { 0, 3, 2 * KVM_GMEM_RING_MAX_ENTRIES, -1U };
	struct kvm_gmem_pager_ring layout;
	struct machine *m;
	int pager;

	require_ring();
	m = machine_create(PAGES);
	pager = pager_of(m);
	TEST_ERRNO(ioctl(pager, KVM_GMEM_PAGER_ENTER, 0), ENODEV);
	TEST_ERRNO(mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, pager, 0), ENODEV);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad_entries); i++)
		TEST_ERRNO(__ring(pager, bad_entries[i], 1, 0, &layout), EINVAL);
	TEST_ERRNO(__ring(pager, 4, KVM_GMEM_RING_MAX_BUFFERS + 1, 0, &layout), EINVAL);
	TEST_ERRNO(__ring(pager, 4, 4, KVM_GMEM_RING_MAX_POLL_NS + 1, &layout), EINVAL);
	layout = (struct kvm_gmem_pager_ring){ .entries = 4, .flags = 1 };
	TEST_ERRNO(ioctl(pager, KVM_GMEM_PAGER_RING, &layout), EINVAL);
	layout = (struct kvm_gmem_pager_ring){ .entries = 4, .reserved[1] = 1 };
	TEST_ERRNO(ioctl(pager, KVM_GMEM_PAGER_RING, &layout), EINVAL);
	TEST_ERRNO(ioctl(pager, KVM_GMEM_PAGER_RING, NULL), EFAULT);
	TEST_ERRNO(ioctl(m->view, KVM_GMEM_PAGER_RING, &layout), ENOTTY);

	/* No content at all: answers without any are good still. */
	TEST_ASSERT(!__ring(pager, 4, 0, 0, &layout), "errno %d", errno);
	TEST_ASSERT_EQ(layout.size, layout.content);
	TEST_ERRNO(__ring(pager, 4, 4, 0, &layout), EBUSY);
	TEST_ERRNO(ioctl(pager, KVM_GMEM_PAGER_ENTER, 1), EINVAL);
	TEST_ERRNO(mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE, pager, 0), EINVAL);
	TEST_ERRNO(mmap(NULL, layout.size + PAGE_SIZE, PROT_READ, MAP_SHARED, pager, 0), ENXIO);
	TEST_ERRNO(mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, pager, layout.size), ENXIO);
	TEST_ERRNO(mmap(NULL, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, pager, 0), EPERM);
}

static const struct claim claims[] = {
	CLAIM(sleeper_is_woken, "a vCPU that sleeps says so, and ENTER wakes it"),
	CLAIM(many_pages_an_answer, "an answer may be for many pages"),
	CLAIM(one_passes_on, "one that has its page wakes another for the answers that it leaves"),
	CLAIM(no_system_call, "one that looks takes the answer itself: no system call"),
	CLAIM(host_sleeps_too, "so does a host fault"),
	CLAIM(host_goes_to_the_next, "and when the ring dies, it goes to the next pager's"),
	CLAIM(no_room, "events that find no room wait for ENTER or read(2), in order"),
	CLAIM(answers, "copy, zero, continue, fail; EEXIST, ENOENT, EINVAL"),
	CLAIM(nonsense, "indices that make no sense are ignored"),
	CLAIM(dies_and_is_taken_over, "a ring dies with its pager; who slept goes to the next"),
	CLAIM(wrong_arguments, "each wrong argument has its error, and does nothing"),
};

CLAIMS_MAIN(claims);
