// SPDX-License-Identifier: GPL-2.0-only
/*
 * Folios of 2 MiB where memory is short: to make one, to split one. Needs the debug
 * kernel's fault injection.
 */
#include "claims.h"
#include "failing.h"
#include "huge.h"
#include "sealing.h"

#define FOLIOS	3
#define PAGES	(FOLIOS * HUGE_PAGES)
#define PAGE	(HUGE_PAGES + 77)	/* one in the middle */

static struct machine *m;
static uint64_t *content;

static void begin(void)
{
	require_fault_injection();
	m = machine_create(PAGES);
	content = pattern_pages(0, PAGES, 3);
}

static void fill(void)
{
	TEST_ASSERT_EQ(populate(m, 0, PAGES, content), (long)PAGES);
}

/* A folio can't be split for want of memory: its pages stay, and are zeroes. */
static void punch_without_memory(void)
{
	fail_slab_allocations(true);
	punch_pages(m->view, PAGE, HUGE_PAGES);
	fail_slab_allocations(false);
	TEST_ASSERT_EQ(resident(m->view), PAGES);
	guest_expect(m, 0, PAGE, 3);
	guest_expect(m, PAGE, HUGE_PAGES, 0);
	guest_expect(m, PAGE + HUGE_PAGES, PAGES - PAGE - HUGE_PAGES, 3);

	punch_pages(m->view, PAGE, HUGE_PAGES);
	TEST_ASSERT_EQ(resident(m->view), PAGES - HUGE_PAGES);
}

/* Before the guest has had any of it, and after. */
static void a_hole_that_cannot_split(void)
{
	begin();
	fill();
	punch_without_memory();
	punch_pages(m->view, 0, PAGES);
	fill();
	guest_touch(m, 0, PAGES);
	punch_without_memory();
	machine_free(m);
}

static void no_memory_in_one_piece(void)
{
	begin();
	fail_large_allocations(true);
	TEST_ASSERT_EQ(populate(m, 0, PAGES, content), (long)PAGES);
	fail_large_allocations(false);
	TEST_ASSERT_EQ(huge_folios(), 0UL);
	guest_expect(m, 0, PAGES, 3);
	machine_free(m);
}

static int make_folio(void)
{
	return populate(m, HUGE_PAGES, HUGE_PAGES, content + HUGE_PAGES * 512);
}

static void undo_folio(int made)
{
	TEST_ASSERT_EQ(made, (int)HUGE_PAGES);
	guest_expect(m, HUGE_PAGES, HUGE_PAGES, 3);
	punch_pages(m->view, 0, PAGES);
}

static void check_pages(void)
{
	TEST_ASSERT_EQ(resident(m->view), 0UL);
}

static void each_allocation_of_one(void)
{
	const struct request folio = { NULL, make_folio, undo_folio, check_pages };

	begin();
	TEST_ASSERT_EQ(try_each_allocation(&folio), 0);
	machine_free(m);
}

static const struct claim claims[] = {
	CLAIM(no_memory_in_one_piece, "with no 2 MiB in one piece all comes by pages"),
	CLAIM(each_allocation_of_one, "what fails in making one is made up for by pages"),
	CLAIM(a_hole_that_cannot_split, "pages of a folio that can't be split are cleared"),
};

CLAIMS_MAIN(claims);
