// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pager that is slow to read, or reads badly: no event is lost, and their number is
 * bounded.
 */
#include <sys/mman.h>

#include "claims.h"
#include "machine.h"
#include "paging.h"

#define MAX	KVM_GMEM_MAX_EVENTS

/* Events of @n pages from @page on are read in order, as many as fit. */
static void expect_faults(int pager, struct kvm_gmem_event *buf, uint64_t page, uint64_t n)
{
	TEST_ASSERT_EQ(read(pager, buf, n * sizeof(*buf)), (ssize_t)(n * sizeof(*buf)));
	for (uint64_t i = 0; i < n; i++)
		TEST_ASSERT(buf[i].type == KVM_GMEM_EVENT_FAULT &&
			    buf[i].offset == (page + i) * PAGE_SIZE,
			    "event %lu of type %u at %#llx", i, buf[i].type, buf[i].offset);
}

/* Each KVM_RUN leaves with an event for the next page: KVM_GMEM_PAGER_EXIT. */
static void ask(struct machine *m, uint64_t page, uint64_t n)
{
	while (n--) {
		machine_prepare(m, guest_look, page++, 0, 0);
		TEST_ERRNO(ioctl(m->vcpu->fd, KVM_RUN, NULL), EFAULT);
	}
}

static struct machine *asking_machine(uint64_t npages, int *pager)
{
	struct machine *m;

	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_PAGER_EXIT,
		       "these modules have no KVM_GMEM_PAGER_EXIT");
	m = machine_create(npages);
	*pager = __pager(m->view, 0, npages, KVM_GMEM_PAGER_EXIT);
	TEST_ASSERT(*pager >= 0, "KVM_GMEM_CREATE_PAGER: errno %d", errno);
	return m;
}

/* Two pages, of which the second can't be written to. */
static struct kvm_gmem_event *half_a_buffer(void)
{
	char *buf = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(buf != MAP_FAILED && !mprotect(buf + PAGE_SIZE, PAGE_SIZE, PROT_NONE), "mmap");
	return (void *)(buf + PAGE_SIZE);
}

static void bad_buffer(void)
{
	struct kvm_gmem_event buf[40], *end = half_a_buffer();
	int pager;
	struct machine *m = asking_machine(PAGING_PAGES, &pager);

	ask(m, 0, 40);
	punch_pages(m->view, 50, 2);
	TEST_ERRNO(read(pager, end, 16 * sizeof(*buf)), EFAULT);
	TEST_ERRNO(read(pager, (char *)end - 1, sizeof(*buf)), EFAULT);
	TEST_ASSERT_EQ(read(pager, end - 3, 16 * sizeof(*buf)), (ssize_t)(3 * sizeof(*buf)));
	TEST_ASSERT(end[-1].offset == 2 * PAGE_SIZE, "the third is at %#llx", end[-1].offset);
	expect_faults(pager, buf, 3, 37);
	TEST_ERRNO(read(pager, end, sizeof(*buf)), EFAULT);
	expect_event(pager, KVM_GMEM_EVENT_REMOVE, 50, 2);
	TEST_ASSERT(!has_event(pager, 0), "an event more");
	copy(pager, 3, 0, 40);
	guest_expect(m, 0, 40, 3);
}

/* What is answered while it is given back is gone. */
static void answered_meanwhile(void)
{
	struct kvm_gmem_event *end = half_a_buffer();
	int pager;
	struct machine *m = asking_machine(PAGING_PAGES, &pager);

	ask(m, 0, 4);
	TEST_ERRNO(read(pager, end, sizeof(*end)), EFAULT);
	copy(pager, 3, 0, 2);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 2, 1);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 3, 1);
}

static uint64_t read_all(int pager, struct kvm_gmem_event *buf, size_t max)
{
	uint64_t n = 0;

	while (has_event(pager, 0)) {
		ssize_t ret = read(pager, buf, max * sizeof(*buf));

		TEST_ASSERT(ret > 0, "read: errno %d", errno);
		n += ret / sizeof(*buf);
	}
	return n;
}

/*
 * As a guest does that touches another page in each interrupt. The last ones wait
 * without an event, and have theirs when there is room.
 */
static void faults_are_bounded(void)
{
	struct kvm_gmem_event *buf = calloc(MAX, sizeof(*buf));
	struct touch touch = { .pattern = 0 };
	struct machine *m;
	int pager;

	m = asking_machine(MAX + 8, &pager);
	ask(m, 0, MAX + 4);
	TEST_ASSERT_EQ(read_all(pager, buf, MAX), (uint64_t)MAX);

	/* No longer by leaving: by waiting. */
	close(pager);
	pager = __pager(m->view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT_EQ(read_all(pager, buf, MAX), (uint64_t)MAX);
	touch.m = machine_link(m->view, MAX + 8);
	touch.page = MAX + 5;
	touch_start(&touch);
	TEST_ASSERT(!has_event(pager, 200) && !touch.done, "an event more");
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, 0, MAX / 2, NULL), 0);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, MAX + 5, 1);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, MAX + 5, 1, NULL), 0);
	touch_end(&touch, 0);
}

static void removals_merge(void)
{
	int pager;
	struct machine *m = asking_machine(PAGING_PAGES, &pager);

	punch_pages(m->view, 10, 2);
	punch_pages(m->view, 20, 2);
	ask(m, 40, 1);
	punch_pages(m->view, 12, 8);
	punch_pages(m->view, 30, 1);
	punch_pages(m->view, 9, 1);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 40, 1);
	expect_event(pager, KVM_GMEM_EVENT_REMOVE, 30, 1);
	expect_event(pager, KVM_GMEM_EVENT_REMOVE, 9, 13);
	TEST_ASSERT(!has_event(pager, 0), "an event more");
}

static void removals_are_bounded(void)
{
	struct kvm_gmem_event *buf = calloc(MAX, sizeof(*buf));
	uint64_t last = 2 * MAX, partly = 0;
	struct machine *m;
	int pager;

	require_pager();
	m = machine_bare(1);
	m->view = vm_create_guest_memfd(m->vm, (last + 64) * PAGE_SIZE, 0);
	pager = __pager(m->view, 0, last + 64, 0);
	for (uint64_t page = 0; page < last + 64; page += 2)
		punch_pages(m->view, page, 1);
	TEST_ASSERT_EQ(read(pager, buf, MAX * sizeof(*buf)), (ssize_t)(MAX * sizeof(*buf)));
	TEST_ASSERT(!has_event(pager, 0), "an event more");
	for (uint64_t i = 0; i < MAX; i++) {
		bool some = buf[i].flags & KVM_GMEM_REMOVE_PARTLY;

		TEST_ASSERT(buf[i].type == KVM_GMEM_EVENT_REMOVE &&
			    (some || buf[i].size == PAGE_SIZE), "event %lu", i);
		partly += some;
	}
	TEST_ASSERT_EQ(partly, 1UL);
	/* What one says that it says it partly: a page that is not owed, and one that is. */
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, last, 1, NULL), ENOENT);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, last + 1, 1, NULL), 0);
}

static const struct claim claims[] = {
	CLAIM(bad_buffer, "read(2) to a bad address loses no event, and no order"),
	CLAIM(answered_meanwhile, "nor does it give back what was answered"),
	SLOW_CLAIM(faults_are_bounded, 180,
		   "faults are bounded: a further one waits, and is asked for later"),
	CLAIM(removals_merge, "removals that adjoin are one"),
	SLOW_CLAIM(removals_are_bounded, 120,
		   "they are bounded too: one says that it covers more than was removed"),
};

CLAIMS_MAIN(claims);
