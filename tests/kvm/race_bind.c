// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memslots that come and go under running guests, and under holes.
 */
#include "claims.h"
#include "fdinfo.h"
#include "stress.h"
#include "machine.h"

#define PAGES	16

static void unbind_and_bind(void *arg)
{
	machine_unbind(arg);
	machine_bind(arg, 0);
}

/* Reads the pattern where the slot is there; EFAULT where it is not. */
static void expect_where_bound(void *arg)
{
	struct machine *m = arg;

	for (int page = 0; page < PAGES; page++) {
		int err = guest_try_expect(m, page, 1);

		TEST_ASSERT(!err || err == EFAULT, "KVM_RUN: errno %d", err);
	}
}

static void touch_where_bound(void *arg)
{
	for (int page = 0; page < PAGES; page++) {
		int err = guest_try_touch(arg, page);

		TEST_ASSERT(!err || err == EFAULT, "KVM_RUN: errno %d", err);
	}
}

static void punch_each(void *arg)
{
	for (int page = 0; page < PAGES; page++)
		punch_pages(((struct machine *)arg)->view, page, 1);
}

static void one_range_from_two_vms(void)
{
	struct machine *a, *b;

	require_link();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	b = machine_link(a->view, PAGES);
	STRESS(((struct stress_op[]){
		{ "guest A", expect_where_bound, a },
		{ "guest B", expect_where_bound, b },
		{ "A's slot", unbind_and_bind, a },
		{ "B's slot", unbind_and_bind, b },
	}));
	guest_expect(a, 0, PAGES, 1);
	guest_expect(b, 0, PAGES, 1);
	TEST_ASSERT_EQ(fdinfo(a->view, "bindings"), 1UL);
	TEST_ASSERT_EQ(fdinfo(b->view, "bindings"), 1UL);
}

static void unbind_against_punch(void)
{
	struct machine *a, *b;

	require_link();
	a = machine_create(PAGES);
	b = machine_link(a->view, PAGES);
	STRESS(((struct stress_op[]){
		{ "guest A", touch_where_bound, a },
		{ "A's slot", unbind_and_bind, a },
		{ "B's slot", unbind_and_bind, b },
		{ "holes", punch_each, b },
	}));
	/* An invalidation whose end was missed would keep these from ever ending. */
	guest_touch(a, 0, PAGES);
	guest_touch(b, 0, PAGES);
	TEST_ASSERT_EQ(fdinfo(a->view, "bindings"), 1UL);
}

static const struct claim claims[] = {
	CLAIM(one_range_from_two_vms,
	      "two VMs bind and unbind one range while their guests read it"),
	CLAIM(unbind_against_punch,
	      "slots are deleted in two VMs while holes are punched under them"),
};

CLAIMS_MAIN(claims);
