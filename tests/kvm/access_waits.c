// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's own accesses wait for a pager without kvm->srcu: memslots of their VM change
 * meanwhile, and they find what there is then.
 */
#include <asm/kvm_para.h>
#include <asm/pvclock-abi.h>

#include "claims.h"
#include "hyperv.h"
#include "interrupts.h"
#include "mapped.h"
#include "kvm_access.h"
#include "runner.h"
#include "successor.h"
#include "svm_util.h"
#include "xenevents.h"

#define VALUE	0x1122334455667788
#define VECTOR	0x51
#define HV_HYPERCALL_ENABLE	1
#define HV_TSC_ENABLE		1

static struct kvm_access o;

static void begin_and_copy(void *fn, uint64_t page, uint64_t b)
{
	kvm_access_begin(&o, fn, page, b);
	copy(o.pager, 1, page, 1);
}

static void reads(void)
{
	begin_and_copy(guest_kvm_read, 3, 0);
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(3, 0));
}

static void writes(void)
{
	begin_and_copy(guest_kvm_write, 3, VALUE);
	kvm_access_result(&o);
	TEST_ASSERT_EQ(kvm_access_found(&o, 3, 0), VALUE);
	TEST_ASSERT_EQ(kvm_access_found(&o, 3, 1), kvm_access_word(3, 1));
}

static void exchanges(void)
{
	begin_and_copy(guest_kvm_exchange, 3, kvm_access_word(3, 0));
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(3, 0));
	TEST_ASSERT_EQ(kvm_access_found(&o, 3, 0), ~kvm_access_word(3, 0));
	TEST_ASSERT_EQ(kvm_access_found(&o, 3, 1), kvm_access_word(3, 1));
}

/* ---- a device on one side, owed memory on the other */

static void device_is_read_once(void)
{
	kvm_access_device_read(&o, 3, VALUE);
	copy(o.pager, 1, 3, 1);
	kvm_access_result(&o);
	TEST_ASSERT_EQ(kvm_access_found(&o, 3, 0), VALUE);
	TEST_ASSERT_EQ(kvm_access_found(&o, 3, 1), kvm_access_word(3, 1));
}

static void guest_to_device(uint64_t page)
{
	void *from = page_gva(page), *to = (void *)ACCESS_DEVICE;

	asm volatile(KVM_FEP "movsq" : "+S"(from), "+D"(to) :: "memory");
	GUEST_RETURN(0);
}

static void device_is_written_once(void)
{
	struct kvm_run *run;

	begin_and_copy(guest_to_device, 3, 0);
	run = o.m->vcpu->run;
	kvm_access_end(&o, KVM_EXIT_MMIO);
	TEST_ASSERT(run->mmio.is_write && run->mmio.phys_addr == ACCESS_DEVICE, "another access");
	TEST_ASSERT_EQ(*(uint64_t *)run->mmio.data, kvm_access_word(3, 0));
	kvm_access_resume(&o);
	kvm_access_result(&o);
}

/* ---- page tables */

static void walks_owed_tables(void)
{
	kvm_access_create(&o);
	kvm_access_plant(&o, page_gpa(1));
	kvm_access_start(&o, guest_kvm_read_tree, 0, 0);
	for (uint64_t page = 1; page < 4; page++) {
		kvm_access_expect_event(&o, page);
		kvm_access_expect_others_go_on(&o);
		kvm_access_copy_table(&o, page, page_gpa(page + 1) | ACCESS_PTE);
	}
	kvm_access_expect_event(&o, 4);
	kvm_access_expect_others_go_on(&o);
	copy(o.pager, 1, 4, 1);
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(4, 0));
	for (uint64_t page = 1; page < 4; page++)
		TEST_ASSERT_EQ(kvm_access_found(&o, page, 0),
			       page_gpa(page + 1) | ACCESS_PTE | ACCESS_PTE_USED);
}

/* What a walk has found in a slot is not good any more when that slot is another. */
static void walks_anew(void)
{
	uint64_t *old, *new, entry = page_gpa(2) | ACCESS_PTE;

	kvm_access_create(&o);
	old = kvm_access_tables(&o, entry);
	kvm_access_plant(&o, ACCESS_TABLES);
	kvm_access_start(&o, guest_kvm_read_tree, 0, 0);
	kvm_access_expect_event(&o, 2);
	new = kvm_access_tables(&o, entry);
	kvm_access_copy_table(&o, 2, page_gpa(3) | ACCESS_PTE);
	kvm_access_expect_event(&o, 3);
	kvm_access_copy_table(&o, 3, page_gpa(4) | ACCESS_PTE);
	kvm_access_expect_event(&o, 4);
	copy(o.pager, 1, 4, 1);
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(4, 0));
	TEST_ASSERT_EQ(*old, entry);
	TEST_ASSERT_EQ(*new, entry | ACCESS_PTE_USED);
}

/*
 * What is at the slot's userspace_addr is no table then, either. All is marked as accessed, so
 * that no other step of the walk has to look at it again.
 */
static void no_translation_without_tables(void)
{
	uint64_t self = ACCESS_TABLES | ACCESS_PTE | ACCESS_PTE_USED;

	kvm_access_create(&o);
	kvm_access_tables(&o, self);
	kvm_access_plant(&o, page_gpa(1) | ACCESS_PTE_USED);
	*(uint64_t *)(o.p.behind + PAGE_SIZE) = self;
	kvm_access_start(&o, guest_kvm_read_tree, 0, 0);
	kvm_access_expect_event(&o, 1);
	machine_unbind(o.m);
	while (!o.done)
		usleep(1000);
	memset(o.p.behind + PAGE_SIZE, BEHIND, sizeof(self));
	TEST_ASSERT_EQ(kvm_access_result(&o), PF_VECTOR);
}

/*
 * A walk inside the walk: of L1's nested tables, to find L2's. What L2's has found before
 * that waited is no good either.
 */
enum { PML4 = 10, PDPT, PD, L2_PD, L2_PT, L2_DATA };	/* pages; L1's, and L2's */

#define L2_GPA		(1ULL << 36)	/* where L2 has the machine's pages */
#define LARGE		(1 << 7)

static volatile uint64_t l2_found;

static void l2_reads_tree(void)
{
	uint64_t value;

	asm volatile(KVM_FEP "mov %1, %0" : "=r"(value) : "m"(*ACCESS_TREE));
	l2_found = value;
	vmmcall();
}

static void l1_runs_l2(uint64_t svm_gva)
{
	static uint64_t stack[512];
	struct svm_test_data *svm = (void *)svm_gva;
	uint64_t *pdpt = page_gva(PDPT);

	*(uint64_t *)page_gva(PML4) = page_gpa(PDPT) | ACCESS_PTE;
	pdpt[0] = ACCESS_PTE | LARGE;
	pdpt[ACCESS_TABLES >> 30] = ACCESS_TABLES | ACCESS_PTE | LARGE;
	pdpt[L2_GPA >> 30] = page_gpa(PD) | ACCESS_PTE;
	*(uint64_t *)page_gva(L2_PD) = (L2_GPA + L2_PT * PAGE_SIZE) | ACCESS_PTE;
	*(uint64_t *)page_gva(L2_PT) = (L2_GPA + L2_DATA * PAGE_SIZE) | ACCESS_PTE;

	generic_svm_setup(svm, l2_reads_tree, &stack[500]);
	svm->vmcb->control.nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
	svm->vmcb->control.nested_cr3 = page_gpa(PML4);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
	GUEST_RETURN(l2_found);
}

static void walks_anew_nested(void)
{
	uint64_t *old, *new, entry = (L2_GPA + L2_PD * PAGE_SIZE) | ACCESS_PTE;
	vm_vaddr_t svm;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));
	kvm_access_create(&o);
	old = kvm_access_tables(&o, entry);
	kvm_access_plant(&o, ACCESS_TABLES);
	copy(o.pager, 1, L2_DATA, 1);
	for (uint64_t page = PML4; page < L2_DATA; page++) {
		if (page != PD)
			kvm_access_copy_table(&o, page, 0);
	}
	vcpu_alloc_svm(o.m->vm, &svm);
	kvm_access_start(&o, l1_runs_l2, svm, 0);
	kvm_access_expect_event(&o, PD);
	new = kvm_access_tables(&o, entry);
	kvm_access_copy_table(&o, PD, MACHINE_GPA | ACCESS_PTE | LARGE);
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(L2_DATA, 0));
	TEST_ASSERT_EQ(*old, entry);
	TEST_ASSERT_EQ(*new, entry | ACCESS_PTE_USED);
}

/* ---- what guest and KVM share */

static void guest_wall_clock(uint64_t page)
{
	wrmsr(MSR_KVM_WALL_CLOCK_NEW, page_gpa(page));
	GUEST_RETURN(0);
}

static void wall_clock(void)
{
	kvm_access_begin(&o, guest_wall_clock, 3, 0);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	kvm_access_result(&o);
	TEST_ASSERT(kvm_access_found(&o, 3, 0), "no wall clock");
}

static uint64_t clock_version(void)
{
	return kvm_access_found(&o, 3, 0) & 0xffffffff;
}

/* It was written, and is not being written. Returns which one it is. */
static uint64_t expect_clock(void)
{
	uint64_t version = clock_version();

	TEST_ASSERT(version && !(version & 1), "version %lu", version);
	return version;
}

/* The guest has a clock in page 3, which is owed anew. */
static void share_clock(void)
{
	kvm_access_create(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	machine_call(o.m, guest_kvm_share, 3, MSR_KVM_SYSTEM_TIME_NEW, 0);
	TEST_ASSERT(clock_version(), "no clock");
	kvm_access_owe_anew(&o, o.m->view, 3);
}

/* The vCPU that is on its way into the guest waits for the clock's page, with nothing held. */
static void expect_clock_comes(void)
{
	kvm_access_expect_event(&o, 3);
	kvm_access_expect_others_go_on(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	expect_event(o.pager, KVM_GMEM_EVENT_FAULT, 4, 1);
	copy(o.pager, 1, 4, 1);
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(4, 0));
	expect_clock();
}

static void kvmclock(void)
{
	uint64_t version;

	kvm_access_begin(&o, guest_kvm_share, 3, MSR_KVM_SYSTEM_TIME_NEW);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	kvm_access_result(&o);
	version = expect_clock();
	touch_clock(o.m);
	TEST_ASSERT(clock_version() > version, "the clock stands still");
}

/* And where it is for the next entry to the guest to update it. */
static void kvmclock_that_is_owed_later(void)
{
	share_clock();

	touch_clock(o.m);
	kvm_access_start(&o, guest_kvm_word, 4, 0);
	expect_clock_comes();
}

/* The machine's vCPUs go on in another VM. */
static void move_machine(void)
{
	static struct machine heir;
	struct kvm_vcpu *vcpu;

	heir = *o.m;
	heir.vcpu = successor(o.m->vcpu);
	heir.vm = heir.vcpu->vm;
	heir.view = link_view(heir.vm, o.m->view);
	vm_set_user_memory_region2(heir.vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
				   PAGING_PAGES * PAGE_SIZE, o.p.behind, heir.view, 0);
	move_vcpus(heir.vm, o.m->vm);
	o.m = &heir;
	list_for_each_entry(vcpu, &heir.vm->vcpus, list) {
		if (vcpu != heir.vcpu)
			o.other = vcpu;
	}
}

/* The destination's vCPU looks it up when it first runs. */
static void kvmclock_that_is_owed_after_a_move(void)
{
	require_move_vcpus();
	share_clock();
	machine_prepare(o.m, guest_kvm_word, 4, 0, 0);
	move_machine();

	kvm_access_resume(&o);
	expect_clock_comes();
}

/* An area that was in one page, and goes on in the next since the guest is one of 64 bits. */
static void runstate(void)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
		.u.gpa = page_gpa(4) - XEN_RUNSTATE_32,
	};

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	kvm_access_create(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	vcpu_ioctl(o.m->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
	xen_configure(o.m->vm);
	kvm_access_start(&o, guest_kvm_word, 5, 0);
	kvm_access_expect_event(&o, 4);
	kvm_access_expect_others_go_on(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 4, 1, NULL), 0);
	expect_event(o.pager, KVM_GMEM_EVENT_FAULT, 5, 1);
	copy(o.pager, 1, 5, 1);
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(5, 0));
}

static void xen_upcalls_at(uint64_t gpa)
{
	struct kvm_xen_hvm_attr vector = {
		.type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = VECTOR,
	};
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, .u.gpa = gpa,
	};

	xen_configure(o.m->vm);
	vm_ioctl(o.m->vm, KVM_XEN_HVM_SET_ATTR, &vector);
	vcpu_ioctl(o.m->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
}

/* The page in which Xen's guest is told of upcalls, which KVM reads before each entry. */
static void upcalls(void)
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	kvm_access_create(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 2, NULL), 0);
	xen_upcalls_at(page_gpa(3));
	machine_call(o.m, guest_kvm_word, 4, 0, 0);
	kvm_access_owe_anew(&o, o.m->view, 3);
	kvm_access_start(&o, guest_kvm_word, 4, 0);
	kvm_access_expect_event(&o, 3);
	kvm_access_expect_others_go_on(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	TEST_ASSERT_EQ(kvm_access_result(&o), 0UL);
}

/* It has its clock updated before each entry. */
static void *run_with_clock(void *arg)
{
	volatile bool *stop = arg;
	struct ucall uc;

	while (!*stop) {
		touch_clock(o.m);
		vcpu_run(o.m->vcpu);
		TEST_ASSERT_EQ(get_ucall(o.m->vcpu, &uc), UCALL_SYNC);
	}
	return NULL;
}

static void guest_syncs(void)
{
	for (;;)
		GUEST_SYNC(0);
}

static void update_memslots(void)
{
	vm_set_user_memory_region(o.m->vm, 20, 0, 1ULL << 36, PAGE_SIZE, o.p.behind);
	vm_set_user_memory_region(o.m->vm, 20, 0, 1ULL << 36, 0, NULL);
}

/* Has @page owed anew, unless KVM has got one in between; whether KVM asks for it. */
static bool owe_anew_and_see(uint64_t page)
{
	kvm_access_owe_anew(&o, o.m->view, page);
	return has_event(o.pager, 20);
}

/*
 * The page goes at any moment, also when it was waited for already. Memslots would wait for the
 * answer, which comes after them here, if it was waited for with kvm->srcu.
 */
static void owe_at_any_time(uint64_t page)
{
	unsigned int asked = 0, seed = 1;
	bool stop = false;
	pthread_t thread;

	pthread_create(&thread, NULL, run_with_clock, &stop);
	for (unsigned int i = 0; i < claim_times(1000); i++) {
		usleep(rand_r(&seed) % 500);
		if (!owe_anew_and_see(page))
			continue;
		asked++;
		expect_event(o.pager, KVM_GMEM_EVENT_FAULT, page, 1);
		update_memslots();
		TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, page, 1, NULL), 0);
	}
	stop = true;
	pthread_join(thread, NULL);
	TEST_ASSERT(asked, "the page was never asked for");
}

static void kvmclock_that_is_owed_at_any_time(void)
{
	kvm_access_create(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	machine_call(o.m, guest_kvm_share, 3, MSR_KVM_SYSTEM_TIME_NEW, 0);
	machine_prepare(o.m, guest_syncs, 0, 0, 0);
	owe_at_any_time(3);
}

static void guest_shares_clock(uint64_t page)
{
	for (;;) {
		wrmsr(MSR_KVM_SYSTEM_TIME_NEW, page_gpa(page) | KVM_MSR_ENABLED);
		GUEST_SYNC(0);
	}
}

static void kvmclock_that_is_set_at_any_time(void)
{
	kvm_access_create(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	machine_prepare(o.m, guest_shares_clock, 3, 0, 0);
	owe_at_any_time(3);
}

static void upcalls_at_any_time(void)
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	kvm_access_create(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	xen_upcalls_at(page_gpa(3));
	machine_prepare(o.m, guest_syncs, 0, 0, 0);
	owe_at_any_time(3);
}

static void runstate_at_any_time(void)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
		.u.gpa = page_gpa(4) - XEN_RUNSTATE_32 / 2,
	};

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	kvm_access_create(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 2, NULL), 0);
	xen_configure(o.m->vm);
	vcpu_ioctl(o.m->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
	machine_prepare(o.m, guest_syncs, 0, 0, 0);
	owe_at_any_time(4);
}

/* ---- a halted vCPU that polls, of which each turn looks for upcalls with kvm->srcu held */

#define POLL_NS		20000000
#define HALT_NS		2000000
#define UPCALL_SLOT	23
#define UPCALL_GPA	(1ULL << 37)

static volatile bool halts;

static void on_timer(struct ex_regs *regs)
{
	if (in_service(regs->vector))
		eoi();
}

static void guest_halts(void)
{
	lapic_enable();
	x2apic_write_reg(APIC_TDCR, 0xb);	/* by 1; a tick is a nanosecond */
	x2apic_write_reg(APIC_LVTT, VECTOR);
	while (halts) {
		x2apic_write_reg(APIC_TMICT, HALT_NS);
		halt();
	}
	GUEST_RETURN(0);
}

/* Another inode's page is at that address, and owed; @view is what was there. */
static void bind_upcalls(int *view)
{
	if (*view >= 0) {
		vm_set_user_memory_region2(o.m->vm, UPCALL_SLOT, KVM_MEM_GUEST_MEMFD, UPCALL_GPA, 0,
					   NULL, -1, 0);
		close(*view);
	}
	close(o.pager);
	*view = vm_create_guest_memfd(o.m->vm, PAGE_SIZE, 0);
	o.pager = __pager(*view, 0, 1, 0);
	vm_set_user_memory_region2(o.m->vm, UPCALL_SLOT, KVM_MEM_GUEST_MEMFD, UPCALL_GPA, PAGE_SIZE,
				   o.p.behind, *view, 0);
}

static void upcalls_while_it_polls(void)
{
	unsigned int seed = 1;
	int view = -1;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	kvm_access_create(&o);
	vm_install_exception_handler(o.m->vm, VECTOR, on_timer);
	vm_enable_cap(o.m->vm, KVM_CAP_HALT_POLL, POLL_NS);
	bind_upcalls(&view);
	vm_mem_set_private(o.m->vm, UPCALL_GPA, PAGE_SIZE);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 0, 1, NULL), 0);
	xen_upcalls_at(UPCALL_GPA);
	*GUEST_VARIABLE(o.m->vm, halts) = true;
	kvm_access_start(&o, guest_halts, 0, 0);
	for (unsigned int i = 0; i < claim_times(300); i++) {
		usleep(rand_r(&seed) % 5000);
		bind_upcalls(&view);
		kvm_access_expect_event(&o, 0);
		update_memslots();
		TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 0, 1, NULL), 0);
	}
	*GUEST_VARIABLE(o.m->vm, halts) = false;
	kvm_access_result(&o);
}

static void guest_steal_version(uint64_t page)
{
	GUEST_RETURN(READ_ONCE(((struct kvm_steal_time *)page_gva(page))->version));
}

static void steal_time(void)
{
	uint64_t version;

	kvm_access_begin(&o, guest_kvm_share, 3, MSR_KVM_STEAL_TIME);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	kvm_access_result(&o);
	version = machine_call(o.m, guest_steal_version, 3, 0, 0);
	TEST_ASSERT(version && !(version & 1), "version %lu", version);
}

static void guest_async(uint64_t page)
{
	asm volatile("cli");
	lapic_enable();
	wrmsr(MSR_KVM_ASYNC_PF_INT, VECTOR);
	wrmsr(MSR_KVM_ASYNC_PF_EN, page_gpa(page) | KVM_ASYNC_PF_ENABLED |
	      KVM_ASYNC_PF_DELIVERY_AS_INT);
	GUEST_RETURN(((struct kvm_vcpu_pv_apf_data *)page_gva(page))->token);
}

/* KVM has an address of it, as of all that is accessed as a cached gfn. */
static void cached(void)
{
	kvm_access_begin(&o, guest_async, 3, 0);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	TEST_ASSERT_EQ(kvm_access_result(&o), ~0U);
}

static void mapped(void)
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));
	begin_and_copy(guest_kvm_map, 3, 0);
	TEST_ASSERT_EQ(kvm_access_result(&o), 0);
	/* FS, where VMSAVE puts it, and what it leaves alone. */
	TEST_ASSERT(kvm_access_found(&o, 3, 0x440 / 8) != kvm_access_word(3, 0x440 / 8),
		    "nothing was saved");
	TEST_ASSERT_EQ(kvm_access_found(&o, 3, 0), kvm_access_word(3, 0));
}

/* ---- system management mode has memslots of its own */

#define SMRAM		0x1000000
#define SMM_SLOT	(1 << 16 | 5)
#define SMRAM_PAGES	16
#define SMI_HANDLER	0x8000
#define SMI_STATE	15	/* page */

static void guest_smi(void)
{
	x2apic_enable();
	x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | APIC_DM_SMI);
	GUEST_RETURN(VALUE);
}

static void smm(void)
{
	static const uint8_t rsm[] = { 0x0f, 0xaa };
	uint8_t *host;
	int view;

	require_pager();
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_SMM));
	o = (struct kvm_access){ .m = machine_of_type(KVM_X86_DEFAULT_VM, 1) };
	view = vm_create_guest_memfd(o.m->vm, SMRAM_PAGES * PAGE_SIZE, MMAP_SHARED);
	host = (uint8_t *)map_view(view, SMRAM_PAGES);
	vm_set_user_memory_region2(o.m->vm, SMM_SLOT, KVM_MEM_GUEST_MEMFD, SMRAM,
				   SMRAM_PAGES * PAGE_SIZE, host, view, 0);
	memcpy(host + SMI_HANDLER, rsm, sizeof(rsm));
	o.pager = __pager(view, SMI_STATE, 1, 0);
	o.other = vm_vcpu_add(o.m->vm, 1, guest_smi);
	vcpu_set_msr(o.m->vcpu, MSR_IA32_SMBASE, SMRAM);

	kvm_access_start(&o, guest_smi, 0, 0);
	kvm_access_expect_event(&o, SMI_STATE);
	vm_set_user_memory_region(o.m->vm, 20, 0, 1ULL << 36, PAGE_SIZE, host);
	vm_set_user_memory_region(o.m->vm, 20, 0, 1ULL << 36, 0, NULL);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, SMI_STATE, 1, NULL), 0);
	TEST_ASSERT_EQ(kvm_access_result(&o), VALUE);
}

/* ---- Xen's pages of a vCPU: KVM accesses them ahead of each entry to the guest */

static void xen_page(uint16_t type, uint64_t page)
{
	struct kvm_xen_vcpu_attr attr = { .type = type, .u.gpa = page_gpa(page) };

	vcpu_ioctl(o.m->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
}

/* It was there, goes, and is owed. */
static void xen_page_goes(uint16_t type)
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	kvm_access_create(&o);
	xen_configure(o.m->vm);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	xen_page(type, 3);
	kvm_access_owe_anew(&o, o.m->view, 3);
}

static void expect_xen_waits(void)
{
	kvm_access_start(&o, guest_kvm_word, 4, 0);
	kvm_access_expect_event(&o, 3);
	kvm_access_expect_others_go_on(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	expect_event(o.pager, KVM_GMEM_EVENT_FAULT, 4, 1);
	copy(o.pager, 1, 4, 1);
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(4, 0));
}

static void xen_runstate(void)
{
	xen_page_goes(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR);
	expect_xen_waits();
}

/* Where its upcalls are told by the page, and not as an interrupt. */
static void xen_vcpu_info(void)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = VECTOR,
	};

	xen_page_goes(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO);
	vm_ioctl(o.m->vm, KVM_XEN_HVM_SET_ATTR, &attr);
	expect_xen_waits();
}

/* ---- Hyper-V's pages: KVM writes them with a mutex that any other vCPU may want */

/* Another vCPU gets it, in a read of what it protects. */
static void expect_mutex_is_free(void)
{
	vcpu_get_msr(o.other, HV_X64_MSR_GUEST_OS_ID);
}

static void guest_hypercall_page(uint64_t page)
{
	wrmsr(HV_X64_MSR_GUEST_OS_ID, 1);
	wrmsr(HV_X64_MSR_HYPERCALL, page_gpa(page) | HV_HYPERCALL_ENABLE);
	GUEST_RETURN(rdmsr(HV_X64_MSR_HYPERCALL));
}

static void hyperv_hypercall_page(void)
{
	kvm_access_create(&o);
	vcpu_set_hv_cpuid(o.m->vcpu);
	kvm_access_start(&o, guest_hypercall_page, 3, 0);
	kvm_access_expect_event(&o, 3);
	kvm_access_expect_others_go_on(&o);
	expect_mutex_is_free();
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	TEST_ASSERT_EQ(kvm_access_result(&o), page_gpa(3) | HV_HYPERCALL_ENABLE);
	TEST_ASSERT(kvm_access_found(&o, 3, 0), "no hypercall page");
}

/* It is written ahead of an entry to the guest; another vCPU that enters waits for it too. */
static void hyperv_tsc_page(void)
{
	kvm_access_create(&o);
	vcpu_set_msr(o.m->vcpu, HV_X64_MSR_REFERENCE_TSC, page_gpa(3) | HV_TSC_ENABLE);
	kvm_access_start(&o, guest_kvm_word, 4, 0);
	kvm_access_expect_event(&o, 3);
	expect_mutex_is_free();
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	expect_event(o.pager, KVM_GMEM_EVENT_FAULT, 4, 1);
	copy(o.pager, 1, 4, 1);
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(4, 0));
}

static const struct claim claims[] = {
	CLAIM(reads, "an emulated read waits; memslots change and another vCPU runs"),
	CLAIM(writes, "so does a write"),
	CLAIM(exchanges, "and a compare-and-exchange"),
	CLAIM(device_is_read_once, "what was read from a device is not read again for the wait"),
	CLAIM(device_is_written_once, "nor is a device written twice"),
	CLAIM(walks_owed_tables, "a walk of page tables waits for each of them"),
	CLAIM(walks_anew, "a walk that waited uses no address of before"),
	CLAIM(walks_anew_nested, "nor one of a nested guest's tables, inside which another waited"),
	CLAIM(no_translation_without_tables, "where the table's slot goes, the guest gets #PF"),
	CLAIM(wall_clock, "the wall clock is written after the wait"),
	CLAIM(kvmclock, "so is kvmclock, where the guest says where it is"),
	CLAIM(kvmclock_that_is_owed_later, "and where it is to be updated"),
	CLAIM(kvmclock_that_is_owed_after_a_move, "and where a vCPU that was moved looks it up"),
	SLOW_CLAIM(kvmclock_that_is_owed_at_any_time, 120,
		   "memslots never wait for it, whenever the page goes"),
	SLOW_CLAIM(kvmclock_that_is_set_at_any_time, 120, "nor where the guest sets it again"),
	CLAIM(steal_time, "so is steal time"),
	CLAIM(runstate, "and Xen's runstate, in a page that it was not in before"),
	SLOW_CLAIM(runstate_at_any_time, 120, "memslots never wait for that one either"),
	CLAIM(upcalls, "the page of Xen's upcalls is waited for with no lock held"),
	SLOW_CLAIM(upcalls_at_any_time, 120, "memslots never wait for it, whenever it goes"),
	SLOW_CLAIM(upcalls_while_it_polls, 120, "nor where a halted vCPU polls, and looks there"),
	CLAIM(cached, "and what KVM accesses by a cached address"),
	CLAIM(mapped, "and what KVM maps for an instruction of nested virtualization"),
	CLAIM(smm, "in system management mode, which has memslots of its own"),
	CLAIM(xen_runstate, "so is the area in which KVM records a vCPU's runstate for Xen"),
	CLAIM(xen_vcpu_info, "and the page in which Xen tells a vCPU of its events"),
	CLAIM(hyperv_hypercall_page, "Hyper-V's hypercall page is waited for without its mutex"),
	CLAIM(hyperv_tsc_page, "so is the page of its clock"),
};

CLAIMS_MAIN(claims);
