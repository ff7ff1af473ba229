// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holes against faults in two VMs: a page that was freed must be out of reach
 * of every guest, or somebody else's memory is overwritten.
 */
#include <sched.h>
#include <sys/mman.h>

#include "claims.h"
#include "fdinfo.h"
#include "hammer.h"
#include "machine.h"

#define PAGES	64
#define CANARY	0x6b63696c6b636f43

struct hole {
	struct machine *m;
	uint64_t *canaries;
	unsigned long intact;
};

static void write_all(void *arg)
{
	guest_write(arg, 0, PAGES, 1);
}

/* A page is missing and reads as zeroes, or it is a guest's; nothing else. */
static void guest_code_audit(uint64_t n)
{
	for (uint64_t page = 0; page < n; page++) {
		volatile uint64_t *p = (volatile uint64_t *)(MACHINE_GVA + page * PAGE_SIZE);

		for (uint64_t i = 0; i < PAGE_SIZE / sizeof(*p); i += 8) {
			uint64_t got = p[i];

			__GUEST_ASSERT(!got || got == pattern_word(1, page, i),
				       "page %lu word %lu is %lx", page, i, got);
		}
	}
	GUEST_RETURN(0);
}

static void audit_all(void *arg)
{
	machine_call(arg, guest_code_audit, PAGES, 0, 0);
}

/*
 * Frees the pages and at once takes as many for itself: the allocator hands
 * out what this CPU freed last. A guest that still has one of them mapped
 * writes its pattern over the canary, or reads it.
 */
static void punch_and_watch_canaries(void *arg)
{
	struct hole *h = arg;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);

	punch_pages(h->m->view, 0, PAGES);
	for (size_t i = 0; i < 2 * PAGES * PAGE_SIZE / sizeof(uint64_t); i++)
		h->canaries[i] = CANARY;
	sched_yield();
	for (size_t i = 0; i < 2 * PAGES * PAGE_SIZE / sizeof(uint64_t); i++)
		TEST_ASSERT(h->canaries[i] == CANARY, "a guest wrote %lx to a page it had lost",
			    h->canaries[i]);
	TEST_ASSERT(!madvise(h->canaries, 2 * PAGES * PAGE_SIZE, MADV_DONTNEED), "madvise");
	h->intact++;
}

static void hole_init(struct hole *h, struct machine *m)
{
	h->m = m;
	h->canaries = mmap(NULL, 2 * PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(h->canaries != MAP_FAILED, "mmap");
	madvise(h->canaries, 2 * PAGES * PAGE_SIZE, MADV_NOHUGEPAGE);
}

static void freed_pages_are_out_of_reach(void)
{
	struct machine *a, *b;
	struct hole hole;

	require_link();
	a = machine_create(PAGES);
	b = machine_link(a->view, PAGES);
	hole_init(&hole, a);
	HAMMER(((struct blow[]){
		{ "guest A writes", write_all, a },
		{ "guest B writes", write_all, b },
		{ "holes", punch_and_watch_canaries, &hole },
	}));
	guest_write(a, 0, PAGES, 2);
	guest_expect(b, 0, PAGES, 2);
}

static void guests_see_old_or_zero(void)
{
	struct machine *a, *b;
	struct hole hole;

	require_link();
	a = machine_create(PAGES);
	b = machine_link(a->view, PAGES);
	hole_init(&hole, b);
	HAMMER(((struct blow[]){
		{ "guest A writes", write_all, a },
		{ "guest B reads", audit_all, b },
		{ "holes", punch_and_watch_canaries, &hole },
	}));
}

static void one_vm_alone(void)
{
	struct machine *m = machine_create(PAGES);
	struct hole hole;

	hole_init(&hole, m);
	HAMMER(((struct blow[]){
		{ "the guest writes", write_all, m },
		{ "holes", punch_and_watch_canaries, &hole },
	}));
}

static void allocate_all(void *arg)
{
	allocate_pages(((struct machine *)arg)->view, 0, PAGES);
}

static void punch_some(void *arg)
{
	for (int page = 0; page < PAGES; page += 4)
		punch_pages(((struct machine *)arg)->view, page, 3);
}

struct linker {
	struct kvm_vm *vm;
	int source;
};

static void link_allocate_close(void *arg)
{
	struct linker *l = arg;
	int view = link_view(l->vm, l->source);

	allocate_pages(view, PAGES / 2, PAGES / 2);
	close(view);
}

static void allocate_punch_link(void)
{
	struct linker linker;
	struct machine *a;

	require_link();
	a = machine_create(PAGES);
	linker = (struct linker){ idle_vm(), a->view };
	HAMMER(((struct blow[]){
		{ "allocations", allocate_all, a },
		{ "holes", punch_some, a },
		{ "links that allocate", link_allocate_close, &linker },
		{ "the guest", write_all, a },
	}));
	punch_pages(a->view, 0, PAGES);
	TEST_ASSERT_EQ(fdinfo(a->view, "resident"), 0UL);
	TEST_ASSERT_EQ(fdinfo(a->view, "allocated"), fdinfo(a->view, "freed"));
	TEST_ASSERT_EQ(fdinfo(a->view, "views"), 1UL);
}

static const struct claim claims[] = {
	CLAIM(freed_pages_are_out_of_reach,
	      "two guests write while holes are punched: no freed page is written"),
	CLAIM(guests_see_old_or_zero,
	      "one writes, one reads: never what the page holds for others"),
	CLAIM(one_vm_alone, "the same with the guest of one VM"),
	CLAIM(allocate_punch_link,
	      "allocating, punching, linking and faulting at once, and no page lost"),
};

CLAIMS_MAIN(claims);
