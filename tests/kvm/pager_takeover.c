// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pager's end: it dies and another takes over, it detaches, or the memory goes.
 */
#include <poll.h>
#include <pthread.h>

#include "claims.h"
#include "machine.h"
#include "paging.h"

#define PAGES	PAGING_PAGES

static void dies_and_is_taken_over(void)
{
	struct touch touch;
	struct machine *m;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	pager = pager_of(m);
	TEST_ERRNO(__pager(m->view, 0, PAGES, 0), EBUSY);
	TEST_ERRNO(__pager(m->view, 0, PAGES, KVM_GMEM_PAGER_TAKEOVER), EBUSY);

	touch = (struct touch){ .m = m, .page = 11, .pattern = 2 };
	touch_start(&touch);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 11, 1);
	close(pager);
	usleep(50000);
	TEST_ASSERT(!touch.done, "the guest has a page that nobody served");
	TEST_ERRNO(__pager(m->view, 0, PAGES, 0), EBUSY);

	pager = __pager(m->view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 11, 1);
	copy(pager, 2, 11, 1);
	touch_end(&touch, 0);
}

static void dies_and_fails(void)
{
	struct touch touch;
	struct machine *m;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	pager = __pager(m->view, 0, PAGES, KVM_GMEM_PAGER_FAIL);
	touch = (struct touch){ .m = m, .page = 1 };
	touch_start(&touch);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 1, 1);
	close(pager);
	touch_end(&touch, EHWPOISON);

	pager = __pager(m->view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
	copy(pager, 3, 1, 1);
	guest_expect(m, 1, 1, 3);
}

static void detaches(void)
{
	uint64_t missing;
	struct machine *m;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	pager = pager_of(m);
	copy(pager, 1, 0, 10);
	TEST_ERRNO(detach(pager, 2, &missing), EINVAL);
	TEST_ERRNO(detach(pager, 0, &missing), EBUSY);
	TEST_ASSERT_EQ(missing, PAGES - 10);
	copy(pager, 1, 10, PAGES - 11);
	TEST_ERRNO(detach(pager, 0, &missing), EBUSY);
	TEST_ASSERT_EQ(missing, 1);
	copy(pager, 1, PAGES - 1, 1);
	TEST_ASSERT(!detach(pager, 0, &missing) && !missing, "detach: errno %d", errno);
	punch_pages(m->view, 0, 1);
	TEST_ASSERT(!has_event(pager, 0), "an event for a pager that owes nothing");
	guest_expect(m, 0, 1, 0);
	close(pager);

	m = machine_create(PAGES);
	pager = pager_of(m);
	copy(pager, 1, 0, 1);
	TEST_ASSERT(!detach(pager, KVM_GMEM_DETACH_FORCE, &missing), "detach: errno %d", errno);
	TEST_ASSERT_EQ(missing, PAGES - 1);
	guest_expect(m, 0, 1, 1);
	TEST_ASSERT_EQ(guest_try_expect(m, 1, 0), EHWPOISON);
}

/* Owed is a part only, with holes, and nothing at the beginning or at the end. */
static void detaches_from_a_part(void)
{
	uint64_t missing;
	struct machine *m;
	int pager;

	require_pager();
	for (int force = 0; force < 2; force++) {
		m = machine_create(PAGES);
		pager = __pager(m->view, 2, PAGES - 5, 0);
		punch_pages(m->view, 4, 1);
		punch_pages(m->view, PAGES - 6, 3);
		TEST_ERRNO(detach(pager, 0, &missing), EBUSY);
		TEST_ASSERT_EQ(missing, PAGES - 9);
		copy(pager, 1, 2, 2);
		copy(pager, 1, 5, PAGES - 12);
		TEST_ERRNO(detach(pager, 0, &missing), EBUSY);
		TEST_ASSERT_EQ(missing, 1);
		if (!force)
			copy(pager, 1, PAGES - 7, 1);
		TEST_ASSERT(!detach(pager, force ? KVM_GMEM_DETACH_FORCE : 0, &missing),
			    "detach: errno %d", errno);
		TEST_ASSERT_EQ(missing, force);

		/* What was given is there, what was not owed is zero, and nothing else fails. */
		guest_expect(m, 0, 2, 0);
		guest_expect(m, 2, 2, 1);
		guest_expect(m, 4, 1, 0);
		guest_expect(m, 5, PAGES - 12, 1);
		if (force)
			TEST_ASSERT_EQ(guest_try_expect(m, PAGES - 7, 0), EHWPOISON);
		guest_expect(m, PAGES - 6, 6, 0);
		close(pager);
	}
}

static void vmm_dies(void)
{
	struct kvm_gmem_event event;
	struct machine *m, *other;
	struct pollfd fd;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	other = machine_link(m->view, PAGES);
	pager = pager_of(m);
	fd = (struct pollfd){ .fd = pager, .events = POLLIN };
	machine_free(m);
	TEST_ASSERT_EQ(poll(&fd, 1, 0), 0);
	copy(pager, 1, 0, 1);
	guest_expect(other, 0, 1, 1);
	machine_free(other);
	TEST_ASSERT(poll(&fd, 1, claim_patience() * 1000) == 1 && (fd.revents & POLLHUP),
		    "no POLLHUP");
	TEST_ERRNO(read(pager, &event, sizeof(event)), EPIPE);
}

static void *read_thread(void *arg)
{
	struct kvm_gmem_event event;
	int pager = *(int *)arg;

	return (void *)(read(pager, &event, sizeof(event)) < 0 ? (long)errno : 0);
}

static void vmm_dies_under_a_reader(void)
{
	struct machine *m;
	pthread_t thread;
	void *err;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	pager = pager_of(m);
	TEST_ASSERT(!pthread_create(&thread, NULL, read_thread, &pager), "thread");
	wait_asleep(thread_id(thread), IN_PAGER_READ);
	machine_free(m);
	pthread_join(thread, &err);
	TEST_ASSERT_EQ((long)err, EPIPE);
}

static const struct claim claims[] = {
	CLAIM(dies_and_is_taken_over, "a dead pager leaves the next all that it did not answer"),
	CLAIM(dies_and_fails, "or guests fail, where that was said"),
	CLAIM(detaches, "detach: refused with the number of missing pages, or by force"),
	CLAIM(detaches_from_a_part, "detach of a part with holes: what is not owed stays as it is"),
	CLAIM(vmm_dies, "POLLHUP and EPIPE when the last view is gone, not before"),
	CLAIM(vmm_dies_under_a_reader, "a read that waits for events ends with EPIPE then"),
};

CLAIMS_MAIN(claims);
