// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is missing: pages that were allocated ahead of a pager are, as those that
 * were not, for everybody who looks.
 */
#include <pthread.h>

#include "claims.h"
#include "mapped.h"
#include "kvm_access.h"
#include "populate.h"

#define PAGES	PAGING_PAGES

/* A machine of which all was allocated before its pager came, and nothing touched. */
static struct machine *m;
static int pager;

static void begin(void)
{
	require_pager();
	m = machine_create(PAGES);
	allocate_pages(m->view, 0, PAGES);
	pager = pager_of(m);
}

static void guest_waits(void)
{
	begin();
	for (uint64_t page = 0; page < 4; page++) {
		struct touch touch = { .m = m, .page = page, .pattern = 3 };

		touch_start(&touch);
		expect_event(pager, KVM_GMEM_EVENT_FAULT, page, 1);
		usleep(20000);
		TEST_ASSERT(!touch.done, "the guest has page %lu", page);
		copy(pager, 3, page, 1);
		touch_end(&touch, 0);
	}
	copy(pager, 3, 4, PAGES - 4);
	guest_expect(m, 0, PAGES, 3);
	TEST_ASSERT(!has_event(pager, 0), "an event for a page that is there");
}

static void zero_is_an_answer(void)
{
	struct touch touch;

	begin();
	touch = (struct touch){ .m = m, .page = 9, .pattern = 0 };
	touch_start(&touch);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 9, 1);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, 9, 1, NULL), 0);
	touch_end(&touch, 0);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, 9, 1, content(1, 9, 1)), EEXIST);
}

static void nothing_to_continue_with(void)
{
	begin();
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_CONTINUE, 5, 1, NULL), ENOENT);
	copy(pager, 2, 5, 1);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_CONTINUE, 5, 1, NULL), 0);
}

static void failed(void)
{
	struct touch touch;

	begin();
	touch = (struct touch){ .m = m, .page = 5 };
	touch_start(&touch);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 5, 1);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_FAIL, 5, 1, NULL), 0);
	touch_end(&touch, EHWPOISON);
	expect_memory_fault(m, 5, EHWPOISON);
}

static void counted(void)
{
	uint64_t missing = 0;

	begin();
	copy(pager, 1, 0, 10);
	TEST_ERRNO(detach(pager, 0, &missing), EBUSY);
	TEST_ASSERT_EQ(missing, PAGES - 10UL);
	copy(pager, 1, 10, PAGES - 10);
	TEST_ASSERT(!detach(pager, 0, &missing), "%lu are missing", missing);
	TEST_ASSERT_EQ(missing, 0UL);
	guest_expect(m, 0, PAGES, 1);
}

static void fails_with_its_pager(void)
{
	uint64_t missing = 0;

	begin();
	copy(pager, 1, 0, 10);
	TEST_ASSERT(!detach(pager, KVM_GMEM_DETACH_FORCE, &missing), "errno %d", errno);
	TEST_ASSERT_EQ(missing, PAGES - 10UL);
	guest_expect(m, 0, 10, 1);
	expect_memory_fault(m, 10, EHWPOISON);
}

static void told_as_missing(void)
{
	struct kvm_gmem_present_range ranges[4];
	struct kvm_gmem_present args = {
		.size = PAGES * PAGE_SIZE, .ranges = (uint64_t)ranges, .nr = 4,
	};

	begin();
	copy(pager, 1, 3, 2);
	TEST_ASSERT(!ioctl(m->view, KVM_GMEM_PRESENT, &args), "errno %d", errno);
	TEST_ASSERT_EQ(args.nr, 1U);
	TEST_ASSERT_EQ(ranges[0].offset, 3 * PAGE_SIZE);
	TEST_ASSERT_EQ(ranges[0].size, 2 * PAGE_SIZE);
}

static void allocated_again(void)
{
	struct touch touch;

	begin();
	allocate_pages(m->view, 0, PAGES);
	touch = (struct touch){ .m = m, .page = 6, .pattern = 4 };
	touch_start(&touch);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 6, 1);
	copy(pager, 4, 6, 1);
	touch_end(&touch, 0);
}

static void populated_by_others(void)
{
	struct touch touch;
	uint64_t *pages;

	begin();
	pages = pattern_pages(0, PAGES, 5);
	touch = (struct touch){ .m = m, .page = 6, .pattern = 5 };
	touch_start(&touch);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 6, 1);
	TEST_ASSERT_EQ(populate(m, 0, PAGES, pages), (long)PAGES);
	touch_end(&touch, 0);
	guest_expect(m, 0, PAGES, 5);
	TEST_ASSERT(!has_event(pager, 0), "an event more");
}

static void prefault_does_not_wait(void)
{
	struct kvm_pre_fault_memory range = { .gpa = MACHINE_GPA, .size = PAGE_SIZE };

	begin();
	TEST_ERRNO(__vcpu_ioctl(m->vcpu, KVM_PRE_FAULT_MEMORY, &range), EAGAIN);
}

static void host_waits(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct host_touch touch = { };
	int view;

	require_pager();
	view = vm_create_guest_memfd(vm, PAGES * PAGE_SIZE, MMAP_SHARED);
	allocate_pages(view, 0, PAGES);
	pager = __pager(view, 0, PAGES, 0);
	TEST_ASSERT(pager >= 0, "errno %d", errno);

	host_touch_start(&touch, view, 5);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 5, 1);
	usleep(20000);
	TEST_ASSERT(!touch.done, "the host has the page");
	copy(pager, 9, 5, 1);
	TEST_ASSERT_EQ(host_touch_end(&touch), pattern_word(9, 5, 0));
}

/* KVM's own access, of an instruction that it emulates. */
static void own_access_waits(void)
{
	struct kvm_access o;

	require_pager();
	kvm_access_create(&o);
	/* Its pager's claim on a page is over; it is allocated, and owed anew. */
	punch_pages(o.m->view, 0, PAGES);
	allocate_pages(o.m->view, 0, PAGES);
	close(o.pager);
	o.pager = __pager(o.m->view, 0, PAGES, 0);
	TEST_ASSERT(o.pager >= 0, "errno %d", errno);
	while (has_event(o.pager, 0))
		next_event(o.pager);

	kvm_access_start(&o, guest_kvm_read, 3, 0);
	kvm_access_expect_event(&o, 3);
	usleep(20000);
	TEST_ASSERT(!o.done, "KVM has the page");
	copy(o.pager, 6, 3, 1);
	kvm_access_end(&o, KVM_EXIT_IO);
	TEST_ASSERT_EQ(kvm_access_result(&o), pattern_word(6, 3, 0));
}

static const struct claim claims[] = {
	CLAIM(guest_waits, "a guest waits for a page that was only allocated"),
	CLAIM(zero_is_an_answer, "zeroes are an answer for it, after which it is there"),
	CLAIM(nothing_to_continue_with, "CONTINUE is ENOENT before it has content"),
	CLAIM(failed, "one that the pager fails is EHWPOISON"),
	CLAIM(counted, "DETACH counts those that are only allocated"),
	CLAIM(fails_with_its_pager, "and fails them, where it is to"),
	CLAIM(told_as_missing, "KVM_GMEM_PRESENT does not tell of them"),
	CLAIM(allocated_again, "allocating them again leaves them owed"),
	CLAIM(populated_by_others, "who populates one by other means ends the wait for it"),
	CLAIM(prefault_does_not_wait, "KVM_PRE_FAULT_MEMORY of one is EAGAIN"),
	CLAIM(host_waits, "the host waits for one"),
	CLAIM(own_access_waits, "an access of KVM's own waits for one"),
};

CLAIMS_MAIN(claims);
