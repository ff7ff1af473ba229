// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest (L1) in a software-protected VM that runs a guest of its own (L2) by VMX, with all that
 * KVM or the processor looks at for that in private memory: VMCS, bitmaps, the virtual-APIC and
 * the APIC-access page, EPT's tables; and what L2 works on. Some of these pages KVM has mapped
 * for as long as L2 runs. With nested SVM: nested.c.
 */
#include "claims.h"
#include "mapped.h"
#include "moving.h"
#include "nested.h"
#include "private.h"
#include "reuse.h"
#include "vmx.h"

/* The machine's pages. */
enum {
	VMXON, VMCS12, SHADOW, MSRS, VMREADS, VMWRITES, VAPIC, APIC_ACCESS,
	PML4, PDPT, PD, PT, DATA, STACK, PAGES
};

#define EPT_FLAGS	(1 | 2 | 4)	/* read, write, execute */
#define EPT_LEAF	(EPT_FLAGS | X86_MEMTYPE_WB << 3)
#define EPT_LARGE	(1 << 7)
#define EPT_ACCESSED	(1 << 8)
#define EPT_DIRTY	(1 << 9)
#define REUSE_PAGES	64
#define VMCALL_SIZE	3
#define PRIVATE		KVM_MEMORY_ATTRIBUTE_PRIVATE

static struct private p;
static struct reuse reuse;

static const struct l2_tables tables = {
	.first = PML4, .pages = PAGES, .table = EPT_FLAGS, .leaf = EPT_LEAF, .large = EPT_LARGE,
};

/* With L1's VMCS loaded, and KVM's pages of each kind in use. */
static void l2_setup(void *l2)
{
	struct vmx_pages vmx = {
		.vmxon = page_gva(VMXON), .vmxon_gpa = page_gpa(VMXON),
		.vmcs = page_gva(VMCS12), .vmcs_gpa = page_gpa(VMCS12),
		.shadow_vmcs = page_gva(SHADOW), .shadow_vmcs_gpa = page_gpa(SHADOW),
		.msr_gpa = page_gpa(MSRS),
		.vmread_gpa = page_gpa(VMREADS), .vmwrite_gpa = page_gpa(VMWRITES),
		.eptp_gpa = page_gpa(PML4),
	};

	l2_tables_build(&tables);
	for (uint64_t page = MSRS; page <= VAPIC; page++)
		memset(page_gva(page), 0, PAGE_SIZE);
	GUEST_ASSERT(prepare_for_vmx_operation(&vmx));
	GUEST_ASSERT(load_vmcs(&vmx));
	prepare_vmcs(&vmx, l2, (uint64_t *)page_gva(STACK) + 500);
	vmwrite(CPU_BASED_VM_EXEC_CONTROL, vmreadz(CPU_BASED_VM_EXEC_CONTROL) |
		CPU_BASED_TPR_SHADOW | CPU_BASED_USE_MSR_BITMAPS);
	vmwrite(SECONDARY_VM_EXEC_CONTROL, vmreadz(SECONDARY_VM_EXEC_CONTROL) |
		SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES);
	vmwrite(VIRTUAL_APIC_PAGE_ADDR, page_gpa(VAPIC));
	vmwrite(APIC_ACCESS_ADDR, page_gpa(APIC_ACCESS));
}

static void expect_vmcall(void)
{
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_VMCALL);
	vmwrite(GUEST_RIP, vmreadz(GUEST_RIP) + VMCALL_SIZE);
}

static void l2_exchanges(void)
{
	volatile uint64_t *data = page_gva(DATA);

	for (;;) {
		data[1] = data[0];
		data[0]++;
		vmcall();
	}
}

/* @rounds exits of L2, each with what it did in L1's private page. */
static void l1_runs_l2(uint64_t rounds)
{
	volatile uint64_t *data = page_gva(DATA);

	l2_setup(l2_exchanges);
	data[0] = 100;
	for (uint64_t i = 0; i < rounds; i++) {
		GUEST_ASSERT(!(i ? vmresume() : vmlaunch()));
		expect_vmcall();
		GUEST_ASSERT_EQ(data[1], 100 + i);
	}
	/* KVM has walked the tables, and left its marks there. */
	GUEST_ASSERT(l2_table(PML4)[0] & EPT_ACCESSED);
	GUEST_ASSERT_EQ(l2_table(PT)[DATA] & (EPT_ACCESSED | EPT_DIRTY), EPT_ACCESSED | EPT_DIRTY);
	GUEST_ASSERT(!vmclear(page_gpa(VMCS12)));
	vmxoff();
	GUEST_RETURN(data[0]);
}

/* L2 asks the host, which knows it from L1 by nothing else. */
static void l2_asks(void)
{
	volatile uint64_t *data = page_gva(DATA);

	asm volatile("outb %%al, %0" : : "i"(L2_PORT));
	data[1] = data[0];
	data[0]++;
	vmcall();
}

/* What KVM has of the VMCS it has copied. */
static void l1_asks(void)
{
	volatile uint64_t *data = page_gva(DATA);

	l2_setup(l2_asks);
	data[0] = 100;
	GUEST_ASSERT(!vmlaunch());
	expect_vmcall();
	vmclear(page_gpa(VMCS12));
	vmxoff();
	GUEST_RETURN(data[0]);
}

static void require_nested(void)
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_VMX));
	TEST_REQUIRE(kvm_cpu_has_ept());
	reuse_init(&reuse, REUSE_PAGES);
}

static void all_in_private_memory(void)
{
	require_nested();
	p = private_create(PAGES);
	for (int i = 0; i < 3; i++)
		TEST_ASSERT_EQ(machine_call(p.m, l1_runs_l2, 50, 0, 0), 150UL);
	TEST_ASSERT_EQ(written_behind(&p, 0, PAGES), 0UL);
}

static void in_private_memory_in_place(void)
{
	require_nested();
	l2_runs_in_place(l1_runs_l2, PAGES, DATA, 4);
}

/* What KVM has mapped is not freed, and so not somebody else's, as long as L2 runs. */
static void punched_under_l2(void)
{
	static const uint64_t pages[] = { VMXON, VMCS12, SHADOW, MSRS, VAPIC, APIC_ACCESS, DATA };

	require_nested();
	p = private_create(PAGES);
	for (int i = 0; i < 5; i++) {
		l2_run_to_port(p.m, l1_asks);
		for (unsigned int j = 0; j < ARRAY_SIZE(pages); j++)
			punch_pages(p.m->view, pages[j], 1);
		reuse_take(&reuse);
		l2_run_to_end(p.m, 1);
		reuse_give_back(&reuse);
	}
	TEST_ASSERT_EQ(written_behind(&p, 0, PAGES), 0UL);
}

/* A page that KVM has mapped for L2 can't become private, like any that is held. */
static void converted_under_l2(void)
{
	struct machine *m;
	uint64_t at;

	require_nested();
	m = l2_in_place(PAGES);
	for (int i = 0; i < 3; i++) {
		make_shared(m->view, 0, PAGES);
		l2_run_to_port(m, l1_asks);
		TEST_ERRNO(__convert(m->view, VAPIC, 1, PRIVATE, &at), EAGAIN);
		TEST_ASSERT_EQ(at, (uint64_t)VAPIC);
		make_private(m->view, DATA, 1);
		l2_run_to_end(m, 101);
		make_private(m->view, 0, PAGES);
		l2_run_to_port(m, l1_asks);
		make_shared(m->view, 0, PAGES);
		l2_run_to_end(m, 101);
		TEST_ASSERT_EQ(*host_page(m, DATA), 101UL);
	}
}

/* The source's vCPU is in L2 for ever; the destination's has the memory, and an L1 of its own. */
static void moved_under_l2(void)
{
	struct machine *a, *b;

	require_nested();
	require_move();
	a = machine_create(PAGES);
	for (int i = 0; i < 3; i++) {
		l2_run_to_port(a, l1_asks);
		b = destination(a);
		move(b, a);
		guest_write(b, VAPIC, 1, i + 1);
		guest_write(b, VMCS12, 1, i + 1);
		reuse_take(&reuse);
		machine_release(a);
		reuse_give_back(&reuse);
		guest_expect(b, VAPIC, 1, i + 1);
		guest_expect(b, VMCS12, 1, i + 1);
		TEST_ASSERT_EQ(machine_call(b, l1_runs_l2, 20, 0, 0), 120UL);
		a = b;
	}
}

static const struct claim claims[] = {
	CLAIM(all_in_private_memory, "L2 runs with all of it, and all that it does, there"),
	CLAIM(in_private_memory_in_place, "and in an inode that the host maps, private and shared"),
	CLAIM(punched_under_l2, "what is punched under L2 is new for L1, the old nobody writes"),
	CLAIM(converted_under_l2, "a page that KVM has mapped for L2 is EAGAIN until L2 ends"),
	CLAIM(moved_under_l2, "memory that is moved from under L2 is the destination's"),
};

CLAIMS_MAIN(claims);
