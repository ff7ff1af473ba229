// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest (L1) in a software-protected VM that runs a guest of its own (L2), with all that
 * KVM looks at for that in private memory: VMCB, save area, permission map, nested page
 * tables; and what L2 works on. With nested SVM.
 */
#include "claims.h"
#include "stress.h"
#include "huge.h"
#include "mapped.h"
#include "moving.h"
#include "nested.h"
#include "private.h"
#include "reuse.h"
#include "svm_util.h"
#include "tracing.h"

/* The machine's pages: the permission map takes two. */
enum { VMCB, SAVE, MSRPM, MSRPM_2, PML4, PDPT, PD, PT, DATA, STACK, PAGES };

#define NPT_FLAGS	(1 | 2 | 4)	/* present, writable, user */
#define NPT_LARGE	(1 << 7)
#define NPT_ACCESSED	(1 << 5)
#define NPT_DIRTY	(1 << 6)
#define REUSE_PAGES	64
#define FAR		(HUGE_PAGES + 3)	/* in the machine's second 2 MiB */

static struct private p;
static struct reuse reuse;

static const struct l2_tables tables = {
	.first = PML4, .pages = PAGES, .table = NPT_FLAGS, .leaf = NPT_FLAGS, .large = NPT_LARGE,
};

static void l2_exchanges(struct svm_test_data *svm __attribute__((unused)))
{
	volatile uint64_t *data = page_gva(DATA);

	for (;;) {
		data[1] = data[0];
		data[0]++;
		vmmcall();
	}
}

static void l2_setup(struct svm_test_data *svm)
{
	*svm = (struct svm_test_data){
		.vmcb = page_gva(VMCB), .vmcb_gpa = page_gpa(VMCB),
		.save_area = page_gva(SAVE), .save_area_gpa = page_gpa(SAVE),
		.msr = page_gva(MSRPM), .msr_gpa = page_gpa(MSRPM),
	};
	l2_tables_build(&tables);
	memset(page_gva(MSRPM), 0, 2 * PAGE_SIZE);
	generic_svm_setup(svm, l2_exchanges, (uint64_t *)page_gva(STACK) + 500);
	svm->vmcb->control.nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
	svm->vmcb->control.nested_cr3 = page_gpa(PML4);
}

/* @rounds exits of L2, each with what it did in L1's private page. */
static void l1_runs_l2(uint64_t rounds)
{
	struct svm_test_data svm;
	uint64_t *data = page_gva(DATA);

	l2_setup(&svm);
	data[0] = 100;
	for (uint64_t i = 0; i < rounds; i++) {
		run_guest(svm.vmcb, svm.vmcb_gpa);
		GUEST_ASSERT_EQ(svm.vmcb->control.exit_code, SVM_EXIT_VMMCALL);
		GUEST_ASSERT_EQ(READ_ONCE(data[1]), 100 + i);
		svm.vmcb->save.rip += 3;
	}
	/* KVM has walked the tables, and left its marks there. */
	GUEST_ASSERT(l2_table(PML4)[0] & NPT_ACCESSED);
	GUEST_ASSERT_EQ(l2_table(PT)[DATA] & (NPT_ACCESSED | NPT_DIRTY), NPT_ACCESSED | NPT_DIRTY);
	GUEST_RETURN(READ_ONCE(data[0]));
}

/* L2 asks the host, which knows it from L1 by nothing else. */
static void l2_asks(struct svm_test_data *svm __attribute__((unused)))
{
	volatile uint64_t *data = page_gva(DATA);

	asm volatile("outb %%al, %0" : : "i"(L2_PORT));
	data[1] = data[0];
	data[0]++;
	vmmcall();
}

/* Of the VMCB that was punched under L2, only what KVM tells at the exit is there. */
static void l1_loses_pages(void)
{
	struct svm_test_data svm;
	volatile uint64_t *data = page_gva(DATA);

	l2_setup(&svm);
	svm.vmcb->save.rip = (uintptr_t)l2_asks;
	data[0] = 100;
	run_guest(svm.vmcb, svm.vmcb_gpa);
	GUEST_ASSERT_EQ(READ_ONCE(svm.vmcb->control.exit_code), SVM_EXIT_VMMCALL);
	GUEST_ASSERT_EQ(READ_ONCE(svm.vmcb->control.intercept), 0);
	GUEST_ASSERT_EQ(READ_ONCE(svm.vmcb->control.msrpm_base_pa), 0);
	GUEST_ASSERT_EQ(data[1], 0);
	GUEST_RETURN(data[0]);
}

/* As l2_asks(), of what L1 gives it by a large page. */
static void l2_goes_far(struct svm_test_data *svm __attribute__((unused)))
{
	volatile uint64_t *data = page_gva(FAR), *beside = page_gva(FAR + 1);

	data[2] = data[0];
	asm volatile("outb %%al, %0" : : "i"(L2_PORT));
	data[1] = data[0];
	data[0]++;
	beside[1] = beside[0];
	vmmcall();
}

static void l1_loses_a_part(void)
{
	volatile uint64_t *data = page_gva(FAR), *beside = page_gva(FAR + 1);
	struct svm_test_data svm;

	l2_setup(&svm);
	l2_table(PD)[1] = page_gpa(HUGE_PAGES) | NPT_FLAGS | NPT_LARGE;
	svm.vmcb->save.rip = (uintptr_t)l2_goes_far;
	data[0] = 100;
	beside[0] = 200;
	run_guest(svm.vmcb, svm.vmcb_gpa);
	GUEST_ASSERT_EQ(READ_ONCE(svm.vmcb->control.exit_code), SVM_EXIT_VMMCALL);
	GUEST_ASSERT_EQ(data[1], 0);
	GUEST_ASSERT_EQ(data[2], 0);
	GUEST_ASSERT_EQ(beside[1], 200);
	GUEST_RETURN(data[0]);
}

/* A VMCB as L1 wants it, in memory of the library's. */
static uint8_t template[4096] __attribute__((aligned(4096)));

/*
 * With pages that go at any instant: each round begins with all anew. Of a VMCB that went
 * in the midst, what was copied first is lost, the intercepts among it, and VMRUN fails.
 */
static void l1_tries_l2(uint64_t rounds)
{
	struct svm_test_data svm;
	uint64_t n = 0;

	l2_setup(&svm);
	svm.vmcb->control.intercept_exceptions = ~0U;
	svm.vmcb->control.intercept |= 1ULL << INTERCEPT_SHUTDOWN;
	if (!template[0x400])
		memcpy(template, svm.vmcb, sizeof(template));
	for (uint64_t i = 0; i < rounds; i++) {
		l2_tables_build(&tables);
		memcpy(svm.vmcb, template, sizeof(template));
		run_guest(svm.vmcb, svm.vmcb_gpa);
		n += READ_ONCE(svm.vmcb->control.exit_code) == SVM_EXIT_VMMCALL;
	}
	GUEST_RETURN(n);
}

static void require_nested(void)
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_NPT));
	reuse_init(&reuse, REUSE_PAGES);
}

static void all_in_private_memory(void)
{
	require_nested();
	p = private_create(PAGES);
	TEST_ASSERT_EQ(machine_call(p.m, l1_runs_l2, 50, 0, 0), 150UL);
	TEST_ASSERT_EQ(written_behind(&p, 0, PAGES), 0UL);
}

static void in_private_memory_in_place(void)
{
	require_nested();
	l2_runs_in_place(l1_runs_l2, PAGES, DATA, 6);
}

static void punched_under_l2(void)
{
	require_nested();
	p = private_create(PAGES);
	for (int i = 0; i < 10; i++) {
		l2_run_to_port(p.m, l1_loses_pages);
		punch_pages(p.m->view, VMCB, 1);
		punch_pages(p.m->view, DATA, 1);
		reuse_take(&reuse);
		l2_run_to_end(p.m, 1);
		reuse_give_back(&reuse);
	}
}

/*
 * The destination takes the source's tables, and not what KVM derived from L1's nested ones. What
 * was write-protected for these is not, where the destination's L1 writes its own there.
 */
static void moved(void)
{
	struct machine *a, *b;

	require_nested();
	require_move();
	trace_start("gmem_move_tables");
	a = machine_create(PAGES);
	TEST_ASSERT_EQ(machine_call(a, l1_runs_l2, 20, 0, 0), 120UL);
	for (int i = 0; i < 5; i++) {
		b = destination(a);
		trace_clear();
		move(b, a);
		TEST_ASSERT_EQ(trace_count("gmem_move_tables", "taken"), 1U);
		machine_release(a);
		TEST_ASSERT_EQ(machine_call(b, l1_runs_l2, 20, 0, 0), 120UL);
		a = b;
	}
}

/*
 * A destination that has been put into L2 has shadow pages, for which pages are write-protected
 * that the source's tables let the guest write.
 */
static void destination_in_l2(void)
{
	struct kvm_pre_fault_memory range = { .gpa = MACHINE_GPA, .size = PAGE_SIZE };
	struct kvm_nested_state *state = calloc(1, 2 * PAGE_SIZE);
	struct machine *a, *b;
	struct kvm_sregs sregs;

	require_nested();
	require_move();
	trace_start("gmem_move_tables");
	a = machine_create(PAGES);
	l2_run_to_port(a, l1_loses_pages);
	TEST_ASSERT(vm_get_stat(a->vm, "pages_4k") > 0, "the guest has nothing mapped");
	state->size = 2 * PAGE_SIZE;
	vcpu_nested_state_get(a->vcpu, state);
	vcpu_sregs_get(a->vcpu, &sregs);

	b = destination(a);
	vcpu_sregs_set(b->vcpu, &sregs);
	vcpu_nested_state_set(b->vcpu, state);
	/* It loads L2's root, and then finds that it can't do this for L2. */
	TEST_ERRNO(__vcpu_ioctl(b->vcpu, KVM_PRE_FAULT_MEMORY, &range), EOPNOTSUPP);
	trace_clear();
	move(b, a);
	TEST_ASSERT_EQ(trace_count("gmem_move_tables", "write_tracking"), 1U);
	TEST_ASSERT(vm_get_stat(a->vm, "pages_4k") > 0, "the source's tables are empty");
	punch_pages(b->view, DATA, 1);
}

/* L2 has a folio of 2 MiB by L1's large page, of which one page goes. */
static void a_part_of_a_large_page(void)
{
	struct machine *m;

	require_nested();
	m = machine_create(2 * HUGE_PAGES);
	for (int i = 0; i < 5; i++) {
		uint64_t mapped = vm_get_stat(m->vm, "pages_2m");

		TEST_ASSERT_EQ(populate(m, HUGE_PAGES, HUGE_PAGES, NULL), (long)HUGE_PAGES);
		l2_run_to_port(m, l1_loses_a_part);
		/* L1's own entry, and L2's. */
		TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m") - mapped, 2UL);
		punch_pages(m->view, FAR, 1);
		TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), mapped);
		reuse_take(&reuse);
		l2_run_to_end(m, 1);
		reuse_give_back(&reuse);
		punch_pages(m->view, HUGE_PAGES, HUGE_PAGES);
	}
}

#define TRIES	20

static unsigned long tried, through;

static void try_l2(void *arg)
{
	struct machine *m = arg;

	through += machine_call_on(m, l1_tries_l2, TRIES, 0, 0);
	tried += TRIES;
}

static void punch(void *arg)
{
	static unsigned int seed;
	struct machine *m = arg;

	punch_pages(m->view, rand_r(&seed) % PAGES, 1);
	usleep(rand_r(&seed) % 300);
}

/* What KVM has mapped is let go of before long: none is EAGAIN. */
static void convert(void *arg)
{
	static unsigned int seed;
	struct machine *m = arg;
	uint64_t page = rand_r(&seed) % PAGES;

	make_shared(m->view, page, 1);
	cpu_relax();
	make_private(m->view, page, 1);
}

static void next_owner(void *arg __attribute__((unused)))
{
	reuse_take(&reuse);
	usleep(1000);
	reuse_give_back(&reuse);
}

static void holes_and_conversions(void)
{
	struct machine *m;

	require_nested();
	m = l2_in_place(PAGES);
	STRESS(((struct stress_op[]){
		{ "L1", try_l2, m },
		{ "punch", punch, m },
		{ "convert", convert, m },
		{ "next owner", next_owner, NULL },
	}));
	pr_info("L2 got through %lu times of %lu\n", through, tried);
	TEST_ASSERT(through, "L2 never ran");
	TEST_ASSERT_EQ(machine_call(m, l1_tries_l2, TRIES, 0, 0), TRIES);
	TEST_ASSERT_EQ(machine_call(m, l1_runs_l2, 20, 0, 0), 120UL);
}

static const struct claim claims[] = {
	CLAIM(all_in_private_memory, "L2 runs with all of it, and all that it does, there"),
	CLAIM(in_private_memory_in_place, "and in an inode that the host maps, private and shared"),
	CLAIM(moved, "L1's tables go along in a move, what L2 had by them does not"),
	CLAIM(destination_in_l2, "none are taken by a VM with tables for a guest's guest"),
	CLAIM(punched_under_l2, "punched under L2, its VMCB and data are new pages for L1 and L2"),
	CLAIM(a_part_of_a_large_page,
	      "so is a part of a large page of L1's, and what is beside it stays"),
	CLAIM(holes_and_conversions, "at any instant: no freed page is written, none is EAGAIN"),
};

CLAIMS_MAIN(claims);
