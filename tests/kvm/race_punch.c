// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holes against faults in two VMs: a page that was freed must be out of reach
 * of every guest, or somebody else's memory is overwritten.
 */
#include <sched.h>

#include "claims.h"
#include "fdinfo.h"
#include "stress.h"
#include "mapped.h"
#include "reuse.h"

#define PAGES	64

struct hole {
	struct machine *m;
	struct reuse reuse;
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
 * Frees the pages and at once another takes as many: the allocator hands out what this
 * CPU freed last. A guest that still has one of them mapped writes its pattern there,
 * or reads the marks.
 */
static void punch_and_watch_the_pages(void *arg)
{
	struct hole *h = arg;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);

	punch_pages(h->m->view, 0, PAGES);
	reuse_take(&h->reuse);
	sched_yield();
	reuse_give_back(&h->reuse);
}

static void hole_init(struct hole *h, struct machine *m)
{
	h->m = m;
	reuse_init(&h->reuse, 2 * PAGES);
}

static void freed_pages_are_out_of_reach(void)
{
	struct machine *a, *b;
	struct hole hole;

	require_link();
	a = machine_create(PAGES);
	b = machine_link(a->view, PAGES);
	hole_init(&hole, a);
	STRESS(((struct stress_op[]){
		{ "guest A writes", write_all, a },
		{ "guest B writes", write_all, b },
		{ "holes", punch_and_watch_the_pages, &hole },
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
	STRESS(((struct stress_op[]){
		{ "guest A writes", write_all, a },
		{ "guest B reads", audit_all, b },
		{ "holes", punch_and_watch_the_pages, &hole },
	}));
}

static void one_vm_alone(void)
{
	struct machine *m = machine_create(PAGES);
	struct hole hole;

	hole_init(&hole, m);
	STRESS(((struct stress_op[]){
		{ "the guest writes", write_all, m },
		{ "holes", punch_and_watch_the_pages, &hole },
	}));
}

/* As the guests do, through the host's page table. */
static void host_writes_all(void *arg)
{
	host_write(arg, 0, PAGES, 1);
}

static void host_audits_all(void *arg)
{
	struct machine *m = arg;

	for (uint64_t page = 0; page < PAGES; page++) {
		for (uint64_t i = 0; i < PAGE_SIZE / 8; i += 8) {
			uint64_t got = ((volatile uint64_t *)host_page(m, page))[i];

			TEST_ASSERT(!got || got == pattern_word(1, page, i),
				    "page %lu word %lu is %lx", page, i, got);
		}
	}
}

static void the_host_and_two_guests(void)
{
	struct machine *a, *b;
	struct hole hole;

	require_link();
	a = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED);
	b = mapped_link(KVM_X86_DEFAULT_VM, a->view, PAGES);
	hole_init(&hole, b);
	STRESS(((struct stress_op[]){
		{ "guest A writes", write_all, a },
		{ "guest B reads", audit_all, b },
		{ "the host writes", host_writes_all, a },
		{ "the host reads", host_audits_all, b },
		{ "holes", punch_and_watch_the_pages, &hole },
	}));
	guest_write(a, 0, PAGES, 2);
	guest_expect(b, 0, PAGES, 2);
	host_expect(a, 0, PAGES, 2);
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
	STRESS(((struct stress_op[]){
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
	CLAIM(the_host_and_two_guests, "the same with the host, which has them mapped"),
	CLAIM(one_vm_alone, "the same with the guest of one VM"),
	CLAIM(allocate_punch_link,
	      "allocating, punching, linking and faulting at once, and no page lost"),
};

CLAIMS_MAIN(claims);
