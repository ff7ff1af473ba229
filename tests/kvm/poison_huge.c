// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory failure in a folio of 2 MiB that somebody has a reference to at that
 * moment. It can't be split then, and the kernel gives up; the page is out of reach
 * all the same, and its frame is never used again.
 */
#include <pthread.h>
#include <sys/stat.h>

#include "claims.h"
#include "huge.h"
#include "poison.h"
#include "tracing.h"

#define BAD	5UL		/* the page that goes bad */
#define TRIES	30
#define ENOUGH	5		/* of them without a split */

static struct machine *a, *b;
static bool stop;

/* A guest that has pages mapped one by one, again and again. */
static void *churn(void *arg)
{
	uint64_t last = MACHINE_GPA + (HUGE_PAGES - 1) * PAGE_SIZE;

	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		vm_mem_set_private(b->vm, MACHINE_GPA, HUGE_PAGES * PAGE_SIZE);
		vm_mem_set_shared(b->vm, last, PAGE_SIZE);
		guest_touch(b, BAD + 1, HUGE_PAGES - BAD - 2);
	}
	vm_mem_set_private(b->vm, MACHINE_GPA, HUGE_PAGES * PAGE_SIZE);
	return NULL;
}

/* The mark is there at once; a VM that has the page mapped loses it soon after. */
static void expect_bad(struct machine *m)
{
	double until = 0;

	while (!guest_try_touch(m, BAD) && claim_is_patient(&until))
		;
	expect_memory_fault(m, BAD, EHWPOISON);
}

static void begin(uint64_t *content)
{
	trace_clear();
	a = machine_create(HUGE_PAGES);
	TEST_ASSERT_EQ(populate(a, 0, HUGE_PAGES, content), (long)HUGE_PAGES);
	TEST_ASSERT_EQ(huge_folios(), 1UL);
	guest_touch(a, BAD, 1);
	b = machine_link(a->view, HUGE_PAGES);
}

static uint64_t bad_frame(void)
{
	struct stat st;

	TEST_ASSERT(!fstat(a->view, &st), "fstat");
	return trace_fault_pfn(st.st_ino, BAD);
}

/* Goes bad while the linked VM's guest is at work: 0 or errno. */
static int go_bad(int fd, uint64_t pfn, unsigned int delay)
{
	pthread_t thread;
	int err;

	stop = false;
	pthread_create(&thread, NULL, churn, NULL);
	usleep(20000 + delay);
	err = poison_report(fd, pfn);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	TEST_ASSERT(!err || err == EHWPOISON || err == EBUSY, "hard_offline_page: errno %d", err);
	TEST_ASSERT(is_poisoned(pfn), "page frame %#lx is not marked", pfn);
	return err;
}

static void expect_all_but_bad(struct machine *m)
{
	guest_expect(m, 0, BAD, 3);
	guest_expect(m, BAD + 1, HUGE_PAGES - BAD - 1, 3);
}

static void end(void)
{
	machine_free(b);
	machine_free(a);
	expect_no_huge_folio();
}

static uint64_t *content;
static int report;

static void prepare(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	require_link();
	report = poison_open();
	expect_no_huge_folio();
	content = pattern_pages(0, HUGE_PAGES, 3);
	trace_start("gmem_fault");
	trace_start("gmem_keep");
}

/* Calls @check for each try in which the folio was not split. */
static void unsplit(void (*check)(uint64_t pfn))
{
	uint64_t bad[TRIES];
	/* Half of them on a slow kernel: a tenth shows nothing, too often. */
	int tries = claim_slowness() > 1 ? TRIES / 2 : TRIES, n = 0, times = 0;

	prepare();
	while (n < tries && times < ENOUGH) {
		uint64_t pfn;

		begin(content);
		pfn = bad_frame();
		for (int i = 0; i < n; i++)
			TEST_ASSERT(pfn != bad[i], "bad frame %#lx is in use again", pfn);
		bad[n] = pfn;
		if (go_bad(report, pfn, n * 997 % 20000) == EHWPOISON) {
			times++;
			check(pfn);
		}
		end();
		n++;
		for (int i = 0; i < n; i++)
			TEST_ASSERT(is_poisoned(bad[i]) && !(frame_flags(bad[i]) & KPF_BUDDY),
				    "page frame %#lx was given back: %#lx", bad[i],
				    frame_flags(bad[i]));
	}
	pr_info("%d of %d could not be split\n", times, n);
	if (!times)
		claim_skip("the kernel could split it each time");
}

static void out_of_reach(uint64_t pfn __maybe_unused)
{
	struct machine *c;

	expect_bad(a);
	expect_bad(b);
	expect_all_but_bad(a);
	expect_all_but_bad(b);
	c = machine_link(b->view, HUGE_PAGES);
	expect_memory_fault(c, BAD, EHWPOISON);
	expect_all_but_bad(c);
	machine_free(c);
}

/* Only the frame is lost, and not the folio's. */
static void only_the_frame(uint64_t pfn __maybe_unused)
{
	expect_bad(a);
	punch_pages(a->view, 0, HUGE_PAGES);
	TEST_ASSERT_EQ(trace_count("gmem_keep", "order 9"), 0U);
	guest_expect(a, 0, HUGE_PAGES, 0);
	guest_write(b, 0, HUGE_PAGES, 3);
	expect_all_but_bad(a);
}

static void hole_elsewhere(uint64_t pfn __maybe_unused)
{
	expect_bad(a);
	punch_pages(a->view, BAD + 1, 7);
	expect_memory_fault(b, BAD, EHWPOISON);
	guest_expect(b, BAD + 1, 7, 0);
	guest_expect(a, BAD + 8, HUGE_PAGES - BAD - 8, 3);
	punch_pages(a->view, BAD, 1);
	guest_expect(a, BAD, 1, 0);
}

static void every_vm_is_told(void)
{
	unsplit(out_of_reach);
}

static void a_hole_gives_back_the_rest(void)
{
	unsplit(only_the_frame);
}

static void holes_around_it(void)
{
	unsplit(hole_elsewhere);
}

static const struct claim claims[] = {
	SLOW_CLAIM(every_vm_is_told, 180,
		   "every VM loses the page and is told; the frame is never used again"),
	SLOW_CLAIM(a_hole_gives_back_the_rest, 180,
		   "a hole heals it, and gives back the folio's other frames"),
	SLOW_CLAIM(holes_around_it, 180, "a hole beside it splits the folio and leaves it bad"),
};

CLAIMS_MAIN(claims);
