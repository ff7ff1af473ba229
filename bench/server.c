// SPDX-License-Identifier: MIT
/*
 * The processes that serve a guest's missing pages: by userfaultfd, as a VMM
 * has it without gmem, and by a pager. All have the image in memory, and copy
 * a page of it when somebody needs one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "paging.h"

/* How many misses a server takes at once, where there are as many. */
#define BATCH 16

/* How long a vCPU looks for an answer before it sleeps, and the server for a miss. */
#define POLL_NS 200000

static void map_file(struct paged *p, int prot)
{
	p->map = mmap(NULL, p->size, prot, MAP_SHARED, p->fd, 0);
	if (p->map == MAP_FAILED)
		must(-errno, "map the guest's memory");
}

/* ---- userfaultfd, on a memfd ---- */

static void set_up_userfaultfd(struct paged *p, uint64_t features, uint64_t mode)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register range = { .mode = mode };

	p->fd = memfd_create("bench", MFD_CLOEXEC);
	if (p->fd < 0 || ftruncate(p->fd, p->size))
		must(-errno, "memfd");
	map_file(p, PROT_READ | PROT_WRITE);
	add_slot_without_gmem(p->vm, p->size, p->map);

	range.range.start = (uintptr_t)p->map;
	range.range.len = p->size;
	p->server = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (p->server < 0 || ioctl(p->server, UFFDIO_API, &api) ||
	    ioctl(p->server, UFFDIO_REGISTER, &range))
		must(-errno, "userfaultfd");
}

static void set_up_missing(struct paged *p)
{
	set_up_userfaultfd(p, 0, UFFDIO_REGISTER_MODE_MISSING);
}

static void set_up_minor(struct paged *p)
{
	set_up_userfaultfd(p, UFFD_FEATURE_MINOR_SHMEM, UFFDIO_REGISTER_MODE_MINOR);
	/* A minor fault is one on a page that the file has. */
	if (fallocate(p->fd, 0, 0, p->size))
		must(-errno, "allocate a memfd");
}

static void copy_by_userfaultfd(const struct paged *p, uint64_t offset)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)p->map + offset,
		.src = (uintptr_t)p->image + offset,
		.len = PAGE,
	};

	if (ioctl(p->server, UFFDIO_COPY, &copy) && errno != EEXIST)
		must(-errno, "UFFDIO_COPY");
}

/* This process has the file mapped with no userfaultfd: it writes, then says so. */
static void continue_by_userfaultfd(const struct paged *p, uint64_t offset)
{
	struct uffdio_continue range = {
		.range = { .start = (uintptr_t)p->map + offset, .len = PAGE },
	};

	memcpy(p->map + offset, p->image + offset, PAGE);
	if (ioctl(p->server, UFFDIO_CONTINUE, &range) && errno != EEXIST)
		must(-errno, "UFFDIO_CONTINUE");
}

static void serve_userfaultfd(const struct paged *p,
			      void (*answer)(const struct paged *p, uint64_t offset))
{
	struct uffd_msg messages[BATCH];

	for (;;) {
		ssize_t n = read(p->server, messages, sizeof(messages));
		size_t i;

		must(n < 0 ? -errno : 0, "read a userfaultfd");
		for (i = 0; i < n / sizeof(messages[0]); i++)
			answer(p, messages[i].arg.pagefault.address - (uintptr_t)p->map);
	}
}

static void serve_missing(const struct paged *p)
{
	serve_userfaultfd(p, copy_by_userfaultfd);
}

static void serve_minor(const struct paged *p)
{
	serve_userfaultfd(p, continue_by_userfaultfd);
}

/* ---- A pager: read(2) and KVM_GMEM_PAGER_ANSWER ---- */

void set_up_pager(struct paged *p)
{
	uint64_t flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;

	p->fd = must(gmem_memfd_create(p->vm, p->size, flags), "create guest memory");
	map_file(p, PROT_READ | PROT_WRITE);
	bind_private(p->vm, p->fd, p->size, p->map);
	p->server = must(gmem_pager_create(p->fd, 0, p->size, 0), "make a pager");
}

static struct kvm_gmem_answer copy_of(const struct paged *p, uint64_t offset, uint64_t size)
{
	return (struct kvm_gmem_answer) {
		.op = KVM_GMEM_ANSWER_COPY, .offset = offset, .size = size,
		.from = (uintptr_t)p->image + offset,
	};
}

static void serve_by_answers(const struct paged *p)
{
	struct kvm_gmem_event events[BATCH];
	struct kvm_gmem_answer answers[BATCH];

	for (;;) {
		int i, n = must(gmem_pager_read(p->server, events, BATCH), "read events");

		for (i = 0; i < n; i++)
			answers[i] = copy_of(p, events[i].offset, PAGE);
		must(gmem_pager_answer(p->server, answers, n), "answer");
	}
}

/* ---- Its ring ---- */

struct ring {
	int pager;
	struct kvm_gmem_pager_ring layout;
	struct kvm_gmem_ring *head;
	char *map;
};

static void open_ring(struct ring *ring, int pager)
{
	ring->pager = pager;
	ring->layout = (struct kvm_gmem_pager_ring) {
		.entries = 64, .buffers = 64, .poll_ns = POLL_NS,
	};
	if (ioctl(pager, KVM_GMEM_PAGER_RING, &ring->layout))
		must(-errno, "make a ring");
	ring->map = mmap(NULL, ring->layout.size, PROT_READ | PROT_WRITE, MAP_SHARED, pager, 0);
	if (ring->map == MAP_FAILED)
		must(-errno, "map the ring");
	ring->head = (struct kvm_gmem_ring *)ring->map;
}

static bool has_event(const struct ring *ring)
{
	return __atomic_load_n(&ring->head->event_head, __ATOMIC_ACQUIRE) !=
	       ring->head->event_tail;
}

/* Looks for an event for a while, then sleeps until there is one. */
static struct kvm_gmem_event next_event(struct ring *ring)
{
	uint64_t end = now_ns() + POLL_NS;
	struct pollfd fd = { .fd = ring->pager, .events = POLLIN };
	struct kvm_gmem_event event, *events;
	uint32_t tail = ring->head->event_tail;

	while (!has_event(ring)) {
		if (now_ns() < end)
			__builtin_ia32_pause();
		else if (poll(&fd, 1, -1) < 0)
			must(-errno, "poll");
	}
	events = (struct kvm_gmem_event *)(ring->map + ring->layout.events);
	event = events[tail & (ring->layout.entries - 1)];
	__atomic_store_n(&ring->head->event_tail, tail + 1, __ATOMIC_RELEASE);
	return event;
}

static void put_page(struct ring *ring, const struct paged *p, uint64_t offset)
{
	uint32_t at = ring->head->answer_head & (ring->layout.entries - 1);
	uint64_t content = ring->layout.content + (at & (ring->layout.buffers - 1)) * PAGE;
	struct kvm_gmem_answer *answers;

	/* As many misses as this guest can have at once are fewer than there are buffers. */
	memcpy(ring->map + content, p->image + offset, PAGE);
	answers = (struct kvm_gmem_answer *)(ring->map + ring->layout.answers);
	answers[at] = copy_of(p, offset, PAGE);
	answers[at].from = content;
	__atomic_store_n(&ring->head->answer_head, ring->head->answer_head + 1,
			 __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&ring->head->wake, __ATOMIC_RELAXED) &&
	    ioctl(ring->pager, KVM_GMEM_PAGER_ENTER, 0) < 0)
		must(-errno, "KVM_GMEM_PAGER_ENTER");
}

static void serve_by_ring(const struct paged *p)
{
	struct ring ring;

	open_ring(&ring, p->server);
	for (;;)
		put_page(&ring, p, next_event(&ring).offset);
}

/* Misses by the ring; 2 MiB at once from where they are, which spares a copy. */
static void serve_large(const struct paged *p)
{
	bool *served = calloc(p->size / LARGE, sizeof(*served));
	struct ring ring;

	must(served ? 0 : -ENOMEM, "the server");
	open_ring(&ring, p->server);
	for (;;) {
		uint64_t number = next_event(&ring).offset / LARGE;
		struct kvm_gmem_answer answer = copy_of(p, number * LARGE, LARGE);

		if (!served[number])
			must(gmem_pager_answer(p->server, &answer, 1), "answer");
		served[number] = true;
	}
}

const struct way ways[] = {
	{ "userfaultfd, MISSING", set_up_missing, serve_missing },
	{ "userfaultfd, MINOR", set_up_minor, serve_minor },
	{ "pager, read and answer", set_up_pager, serve_by_answers },
	{ "pager, ring", set_up_pager, serve_by_ring },
	{ "pager, answers of 2 MiB", set_up_pager, serve_large },
};

const size_t nr_ways = sizeof(ways) / sizeof(ways[0]);
