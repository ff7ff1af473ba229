// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holes punched into memory that guests of two VMs have mapped and are using.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "claims.h"
#include "machine.h"

#define PAGES	32

/* Two machines on one inode, both with all of it mapped. */
static void machines(struct machine **a, struct machine **b, uint64_t pattern)
{
	require_link();
	*a = machine_create(PAGES);
	guest_write(*a, 0, PAGES, pattern);
	*b = machine_link((*a)->view, PAGES);
	guest_expect(*b, 0, PAGES, pattern);
}

static void both_see_zeroes(void)
{
	struct machine *a, *b;

	machines(&a, &b, 1);
	punch_pages(a->view, 4, 8);
	guest_expect(a, 4, 8, 0);
	guest_expect(b, 4, 8, 0);

	guest_write(b, 0, PAGES, 2);
	punch_pages(b->view, 0, PAGES);
	guest_expect(b, 0, PAGES, 0);
	guest_expect(a, 0, PAGES, 0);
}

static void both_share_the_new_page(void)
{
	struct machine *a, *b;

	machines(&a, &b, 1);
	punch_pages(a->view, 4, 1);
	guest_write(b, 4, 1, 2);
	guest_expect(a, 4, 1, 2);
	guest_write(a, 4, 1, 3);
	guest_expect(b, 4, 1, 3);
}

static void right_gfns_at_an_offset(void)
{
	struct machine *a, *b;
	uint64_t half = PAGES / 2;

	/* B's page n is A's page n + half: punch where only A, or both, look. */
	require_link();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	b = machine_bare(half);
	b->view = link_view(b->vm, a->view);
	machine_bind(b, half);
	guest_touch(b, 0, half);

	punch_pages(b->view, 3, 1);
	guest_expect(a, 3, 1, 0);
	punch_pages(b->view, half + 5, 1);
	guest_expect(a, half + 5, 1, 0);
	guest_expect(b, 5, 1, 0);
	guest_expect(a, half, 5, 1);

	guest_write(b, 0, half, 2);
	punch_pages(a->view, half - 2, 4);
	guest_expect(b, 0, 2, 0);
	guest_expect(b, 2, half - 2, 2);
}

static void through_an_unbound_view(void)
{
	struct machine *a, *b;
	int view;

	/* Whoever has a view may punch, bound or not; it holds for all. */
	machines(&a, &b, 1);
	view = link_view(vm_create_barebones(), a->view);
	punch_pages(view, 0, PAGES);
	guest_expect(b, 0, PAGES, 0);
	guest_expect(a, 0, PAGES, 0);
}

/* In each VM's own memory: what the guest read last, and how often it did. */
static volatile uint64_t seen, turns;

static void guest_code_watch(uint64_t page)
{
	volatile uint64_t *p = (volatile uint64_t *)(MACHINE_GVA + page * PAGE_SIZE);

	for (;;) {
		seen = *p;
		turns++;
	}
}

static void *watch(void *arg)
{
	machine_try(arg, guest_code_watch, 0, 0, 0);
	return NULL;
}

struct watcher {
	struct machine *m;
	volatile uint64_t *seen, *turns;
};

static void watcher_start(struct watcher *w, struct machine *m)
{
	pthread_t thread;

	w->m = m;
	w->seen = addr_gva2hva(m->vm, (vm_vaddr_t)&seen);
	w->turns = addr_gva2hva(m->vm, (vm_vaddr_t)&turns);
	pthread_create(&thread, NULL, watch, m);
}

/* What the guest sees in a read that began after this was called. */
static uint64_t watcher_sees(struct watcher *w)
{
	uint64_t before = *w->turns;

	while (*w->turns < before + 2)
		usleep(100);
	return *w->seen;
}

static void gone_when_it_returns(void)
{
	struct machine *writer, *a, *b;
	struct watcher wa, wb;

	machines(&a, &b, 0);
	writer = machine_link(a->view, PAGES);
	watcher_start(&wa, a);
	watcher_start(&wb, b);
	for (uint64_t i = 1; i <= 50; i++) {
		uint64_t word = pattern_word(i, 0, 0);

		guest_write(writer, 0, 1, i);
		TEST_ASSERT_EQ(watcher_sees(&wa), word);
		TEST_ASSERT_EQ(watcher_sees(&wb), word);
		punch_pages(i % 2 ? a->view : b->view, 0, 1);
		TEST_ASSERT_EQ(watcher_sees(&wb), 0UL);
		TEST_ASSERT_EQ(watcher_sees(&wa), 0UL);
	}
	exit(0);	/* the guests run for ever */
}

static const struct claim claims[] = {
	CLAIM(both_see_zeroes, "both guests see zeroes, whichever VM's view was punched"),
	CLAIM(both_share_the_new_page, "the page that comes instead is one page for both"),
	CLAIM(right_gfns_at_an_offset, "each VM loses the gfns that its own binding puts there"),
	CLAIM(through_an_unbound_view,
	      "a hole punched through a view that nothing is bound to counts too"),
	CLAIM(gone_when_it_returns,
	      "no running guest reads the old content once fallocate has returned"),
};

CLAIMS_MAIN(claims);
