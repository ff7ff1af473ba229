// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ioctls that access guest memory wait for a pager: those that can start over are ended by
 * signals, with nothing changed.
 */
#include <asm/kvm_para.h>
#include <signal.h>

#include "apic.h"
#include "claims.h"
#include "hyperv.h"
#include "kvm_access.h"
#include "svm_util.h"
#include "xenevents.h"

static struct kvm_access o;

static uint64_t clock_version(void)
{
	return machine_call(o.m, guest_look, 3, 0, 0) & 0xffffffff;
}

static void *translate_thread(void *arg)
{
	struct kvm_translation *translation = arg;

	vcpu_ioctl(o.m->vcpu, KVM_TRANSLATE, translation);
	return NULL;
}

static void ioctl_translates(void)
{
	struct kvm_translation translation = { .linear_address = (uint64_t)ACCESS_TREE };
	pthread_t thread;

	kvm_access_create(&o);
	kvm_access_plant(&o, page_gpa(1));
	pthread_create(&thread, NULL, translate_thread, &translation);
	for (uint64_t page = 1; page < 4; page++) {
		kvm_access_expect_event(&o, page);
		kvm_access_expect_others_go_on(&o);
		kvm_access_copy_table(&o, page, page_gpa(page + 1) | ACCESS_PTE);
	}
	pthread_join(thread, NULL);
	TEST_ASSERT(translation.valid && translation.physical_address == page_gpa(4),
		    "translated to %#llx", translation.physical_address);
}

/* As who restores a guest does. */
static void *msr_thread(void *arg __attribute__((unused)))
{
	vcpu_set_msr(o.m->vcpu, MSR_KVM_SYSTEM_TIME_NEW, page_gpa(3) | KVM_MSR_ENABLED);
	return NULL;
}

static void ioctl_sets_msr(void)
{
	pthread_t thread;

	kvm_access_create(&o);
	pthread_create(&thread, NULL, msr_thread, NULL);
	kvm_access_expect_event(&o, 3);
	kvm_access_expect_others_go_on(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	pthread_join(thread, NULL);
	TEST_ASSERT(clock_version(), "no clock");
}

static int ioctl_errno;

static void nothing(int sig __attribute__((unused)))
{
}

static void *interrupted_translate(void *arg)
{
	ioctl_errno = ioctl(o.m->vcpu->fd, KVM_TRANSLATE, arg) ? errno : 0;
	o.done = true;
	return NULL;
}

static void *interrupted_msr(void *arg)
{
	ioctl_errno = ioctl(o.m->vcpu->fd, KVM_SET_MSRS, arg) < 0 ? errno : 0;
	o.done = true;
	return NULL;
}

/* The ioctl waits for @page, and a signal ends that. */
static void expect_interrupted(void *(*fn)(void *), void *arg, uint64_t page)
{
	struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGUSR1, &action, NULL);
	o.done = false;
	pthread_create(&o.thread, NULL, fn, arg);
	kvm_access_expect_event(&o, page);
	kvm_access_expect_others_go_on(&o);
	/* One that comes before it sleeps ends it too. */
	pthread_kill(o.thread, SIGUSR1);
	pthread_join(o.thread, NULL);
	TEST_ASSERT_EQ(ioctl_errno, EINTR);
}

static void signal_ends_translate(void)
{
	struct kvm_translation translation = { .linear_address = (uint64_t)ACCESS_TREE };

	kvm_access_create(&o);
	kvm_access_plant(&o, page_gpa(1));
	expect_interrupted(interrupted_translate, &translation, 1);
	kvm_access_copy_table(&o, 1, page_gpa(2) | ACCESS_PTE);
	expect_interrupted(interrupted_translate, &translation, 2);
	kvm_access_copy_table(&o, 2, page_gpa(3) | ACCESS_PTE);
	expect_interrupted(interrupted_translate, &translation, 3);
	kvm_access_copy_table(&o, 3, page_gpa(4) | ACCESS_PTE);
	interrupted_translate(&translation);
	TEST_ASSERT_EQ(ioctl_errno, 0);
	TEST_ASSERT(translation.valid && translation.physical_address == page_gpa(4),
		    "translated to %#llx", translation.physical_address);
}

static void signal_ends_set_msrs(void)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entries[3];
	} msrs = {
		.header.nmsrs = 3,
		.entries = {
			{ .index = MSR_IA32_SYSENTER_EIP, .data = 0x1234 },
			{ .index = MSR_KVM_SYSTEM_TIME_NEW, .data = page_gpa(3) | KVM_MSR_ENABLED },
			{ .index = MSR_KVM_WALL_CLOCK_NEW, .data = page_gpa(4) },
		},
	};

	kvm_access_create(&o);
	expect_interrupted(interrupted_msr, &msrs, 3);
	TEST_ASSERT_EQ(vcpu_get_msr(o.m->vcpu, MSR_IA32_SYSENTER_EIP), 0UL);
	TEST_ASSERT_EQ(vcpu_get_msr(o.m->vcpu, MSR_KVM_SYSTEM_TIME_NEW), 0UL);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	expect_interrupted(interrupted_msr, &msrs, 4);
	TEST_ASSERT_EQ(vcpu_get_msr(o.m->vcpu, MSR_IA32_SYSENTER_EIP), 0UL);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 4, 1, NULL), 0);
	interrupted_msr(&msrs);
	TEST_ASSERT_EQ(ioctl_errno, 0);
	TEST_ASSERT_EQ(vcpu_get_msr(o.m->vcpu, MSR_IA32_SYSENTER_EIP), 0x1234UL);
	TEST_ASSERT(clock_version(), "no clock");
}

/* In the guest's paging of 32 bits the page at CR3 is read at once. */
static void *sregs_thread(void *arg)
{
	vcpu_sregs_set(o.m->vcpu, arg);
	return NULL;
}

/* kvm->srcu stays held: memslots would wait for the answer. */
static void ioctl_sets_sregs(void)
{
	struct kvm_sregs sregs;
	pthread_t thread;

	kvm_access_create(&o);
	vcpu_sregs_get(o.m->vcpu, &sregs);
	sregs.efer &= ~(EFER_LME | EFER_LMA);
	sregs.cs.l = 0;
	sregs.cr3 = page_gpa(3);
	pthread_create(&thread, NULL, sregs_thread, &sregs);
	kvm_access_expect_event(&o, 3);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	pthread_join(thread, NULL);
	vcpu_sregs_get(o.m->vcpu, &sregs);
	TEST_ASSERT_EQ(sregs.cr3, page_gpa(3));
}

static void *interrupted_run(void *arg __attribute__((unused)))
{
	ioctl_errno = ioctl(o.m->vcpu->fd, KVM_RUN, NULL) ? errno : 0;
	o.done = true;
	return NULL;
}

/* Registers that were left in the run page are still there, and the next KVM_RUN sets them. */
static void signal_ends_run_sregs(void)
{
	struct kvm_sregs sregs;
	struct kvm_run *run;

	kvm_access_create(&o);
	run = o.m->vcpu->run;
	vcpu_sregs_get(o.m->vcpu, &sregs);
	sregs.efer &= ~(EFER_LME | EFER_LMA);
	sregs.cs.l = 0;
	sregs.cr3 = page_gpa(3);
	run->s.regs.sregs = sregs;
	run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	expect_interrupted(interrupted_run, NULL, 3);
	TEST_ASSERT_KVM_EXIT_REASON(o.m->vcpu, KVM_EXIT_INTR);
	TEST_ASSERT_EQ(run->kvm_dirty_regs, (uint64_t)KVM_SYNC_X86_SREGS);
	vcpu_sregs_get(o.m->vcpu, &sregs);
	TEST_ASSERT(sregs.cr3 != page_gpa(3), "CR3 is set");

	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	/* It sets registers, and does not enter. */
	run->immediate_exit = 1;
	interrupted_run(NULL);
	TEST_ASSERT_EQ(ioctl_errno, EINTR);
	TEST_ASSERT_EQ(run->kvm_dirty_regs, 0UL);
	vcpu_sregs_get(o.m->vcpu, &sregs);
	TEST_ASSERT_EQ(sregs.cr3, page_gpa(3));
}

#define SYNCED	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)
#define RAX	0x1234567812345678

/* CR3 is that of owed page 3, general registers and events are others than before. */
static void leave_in_run_page(struct kvm_run *run)
{
	struct kvm_sync_regs *s = &run->s.regs;

	vcpu_sregs_get(o.m->vcpu, &s->sregs);
	vcpu_regs_get(o.m->vcpu, &s->regs);
	vcpu_events_get(o.m->vcpu, &s->events);
	s->sregs.efer &= ~(EFER_LME | EFER_LMA);
	s->sregs.cs.l = 0;
	s->sregs.cr3 = page_gpa(3);
	s->regs.rax = RAX;
	s->events.nmi.masked = 1;
	run->kvm_valid_regs = SYNCED;
	run->kvm_dirty_regs = SYNCED;
}

static void expect_in_run_page(struct kvm_run *run)
{
	TEST_ASSERT_EQ(run->s.regs.sregs.cr3, page_gpa(3));
	TEST_ASSERT_EQ(run->s.regs.regs.rax, (uint64_t)RAX);
	TEST_ASSERT_EQ(run->s.regs.events.nmi.masked, 1);
}

/* KVM_RUN sets what is in the run page, does not enter, and stores all of it there. */
static void expect_run_sets_registers(struct kvm_run *run)
{
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;

	run->immediate_exit = 1;
	interrupted_run(NULL);
	TEST_ASSERT_EQ(ioctl_errno, EINTR);
	TEST_ASSERT_EQ(run->kvm_dirty_regs, 0UL);
	expect_in_run_page(run);
	vcpu_sregs_get(o.m->vcpu, &sregs);
	TEST_ASSERT_EQ(sregs.cr3, page_gpa(3));
	vcpu_events_get(o.m->vcpu, &events);
	TEST_ASSERT_EQ(events.nmi.masked, 1);
}

/* Those that it has not set are not written over, though it is to store registers there. */
static void signal_keeps_run_page(void)
{
	struct kvm_run *run;

	TEST_REQUIRE((kvm_check_cap(KVM_CAP_SYNC_REGS) & SYNCED) == SYNCED);
	kvm_access_create(&o);
	run = o.m->vcpu->run;
	leave_in_run_page(run);
	expect_interrupted(interrupted_run, NULL, 3);
	TEST_ASSERT(run->kvm_dirty_regs & KVM_SYNC_X86_SREGS &&
		    run->kvm_dirty_regs & KVM_SYNC_X86_EVENTS,
		    "dirty registers: %#llx", run->kvm_dirty_regs);
	expect_in_run_page(run);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	expect_run_sets_registers(run);
}

/* The page is asked for, and KVM_RUN does not sleep, as for all that it is not to begin. */
static void immediate_exit_waits_for_nothing(void)
{
	struct kvm_run *run;

	TEST_REQUIRE((kvm_check_cap(KVM_CAP_SYNC_REGS) & SYNCED) == SYNCED);
	kvm_access_create(&o);
	run = o.m->vcpu->run;
	leave_in_run_page(run);
	run->immediate_exit = 1;
	for (int i = 0; i < 2; i++) {
		interrupted_run(NULL);
		TEST_ASSERT_EQ(ioctl_errno, EINTR);
		TEST_ASSERT(run->kvm_dirty_regs & KVM_SYNC_X86_SREGS, "registers are set");
		expect_in_run_page(run);
	}
	kvm_access_expect_event(&o, 3);
	TEST_ASSERT(!has_event(o.pager, 0), "asked for twice");
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	expect_run_sets_registers(run);
}

static void *lapic_thread(void *arg)
{
	struct kvm_lapic_state *lapic = arg;

	vcpu_ioctl(o.m->vcpu, KVM_SET_LAPIC, lapic);
	return NULL;
}

static void spurious_vector(struct kvm_lapic_state *lapic, uint32_t value)
{
	*(uint32_t *)(lapic->regs + APIC_SPIV) = value;
}

/* Where upcalls are interrupts of the vCPU's own LAPIC, KVM looks for one when that is enabled. */
static void ioctl_enables_lapic(void)
{
	struct kvm_xen_vcpu_attr page = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, .u.gpa = page_gpa(3),
	}, vector = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, .u.vector = 0x51,
	};
	struct kvm_lapic_state lapic;
	pthread_t thread;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	kvm_access_create(&o);
	xen_configure(o.m->vm);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	vcpu_ioctl(o.m->vcpu, KVM_XEN_VCPU_SET_ATTR, &page);
	vcpu_ioctl(o.m->vcpu, KVM_XEN_VCPU_SET_ATTR, &vector);
	vcpu_ioctl(o.m->vcpu, KVM_GET_LAPIC, &lapic);
	spurious_vector(&lapic, 0xff);
	vcpu_ioctl(o.m->vcpu, KVM_SET_LAPIC, &lapic);
	kvm_access_owe_anew(&o, o.m->view, 3);

	spurious_vector(&lapic, 0xff | APIC_SPIV_APIC_ENABLED);
	pthread_create(&thread, NULL, lapic_thread, &lapic);
	kvm_access_expect_event(&o, 3);
	kvm_access_expect_others_go_on(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	pthread_join(thread, NULL);
	vcpu_ioctl(o.m->vcpu, KVM_GET_LAPIC, &lapic);
	TEST_ASSERT(!*(uint32_t *)(lapic.regs + APIC_IRR + 0x51 / 32 * 0x10), "an upcall");
}

/* Xen's hypercall page, and then the shared page, which this vCPU's mode has laid out anew. */
static void signal_ends_xen_msr(void)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = {
		.header.nmsrs = 1,
		.entry = { .index = XEN_MSR, .data = page_gpa(5) },
	};

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	kvm_access_create(&o);
	xen_configure(o.m->vm);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	xen_shared_page(o.m->vm, page_gpa(3));

	expect_interrupted(interrupted_msr, &msrs, 5);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 5, 1, NULL), 0);
	kvm_access_owe_anew(&o, o.m->view, 3);
	expect_interrupted(interrupted_msr, &msrs, 3);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	interrupted_msr(&msrs);
	TEST_ASSERT_EQ(ioctl_errno, 0);
	/* mov $0, %eax */
	TEST_ASSERT_EQ(machine_call(o.m, guest_look, 5, 0, 0) & 0xff, 0xb8UL);
}

/* The word in which the guest is told of the next page, after it has read the one before. */
static void signal_ends_async_ack(void)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = {
		.header.nmsrs = 1,
		.entry = { .index = MSR_KVM_ASYNC_PF_ACK, .data = 1 },
	};

	kvm_access_create(&o);
	vcpu_set_msr(o.m->vcpu, MSR_KVM_ASYNC_PF_INT, 0x50);
	vcpu_set_msr(o.m->vcpu, MSR_KVM_ASYNC_PF_EN,
		     page_gpa(3) | KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_DELIVERY_AS_INT);
	expect_interrupted(interrupted_msr, &msrs, 3);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	interrupted_msr(&msrs);
	TEST_ASSERT_EQ(ioctl_errno, 0);
}

/* A list that has asynchronous page faults begin, and then ends one. */
static void signal_ends_async_list(void)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entries[3];
	} msrs = {
		.header.nmsrs = 3,
		.entries = {
			{ .index = MSR_KVM_ASYNC_PF_INT, .data = 0x50 },
			{ .index = MSR_KVM_ASYNC_PF_EN, .data = page_gpa(3) | KVM_ASYNC_PF_ENABLED |
								KVM_ASYNC_PF_DELIVERY_AS_INT },
			{ .index = MSR_KVM_ASYNC_PF_ACK, .data = 1 },
		},
	};

	kvm_access_create(&o);
	expect_interrupted(interrupted_msr, &msrs, 3);
	TEST_ASSERT_EQ(vcpu_get_msr(o.m->vcpu, MSR_KVM_ASYNC_PF_EN), 0UL);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	interrupted_msr(&msrs);
	TEST_ASSERT_EQ(ioctl_errno, 0);
}

/* One MSR that has pages accessed from @page on, as many as @n. */
static void expect_msr_interrupted(uint32_t index, uint64_t data, uint64_t page, uint64_t n)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = {
		.header.nmsrs = 1,
		.entry = { .index = index, .data = data },
	};

	kvm_access_create(&o);
	for (uint64_t i = page; i < page + n; i++) {
		expect_interrupted(interrupted_msr, &msrs, i);
		TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, i, 1, NULL), 0);
	}
	interrupted_msr(&msrs);
	TEST_ASSERT_EQ(ioctl_errno, 0);
}

static void signal_ends_assist_page(void)
{
	expect_msr_interrupted(HV_X64_MSR_VP_ASSIST_PAGE, page_gpa(3) | 1, 3, 1);
	TEST_ASSERT_EQ(vcpu_get_msr(o.m->vcpu, HV_X64_MSR_VP_ASSIST_PAGE), page_gpa(3) | 1);
}

static void signal_ends_wall_clock(void)
{
	expect_msr_interrupted(MSR_KVM_WALL_CLOCK_NEW, page_gpa(4) - 4, 3, 2);
	TEST_ASSERT(machine_call(o.m, guest_look, 4, 0, 0), "no wall clock");
}

static void *interrupted_xen(void *arg)
{
	ioctl_errno = ioctl(o.m->vcpu->fd, KVM_XEN_VCPU_SET_ATTR, arg) ? errno : 0;
	o.done = true;
	return NULL;
}

/* Xen's runstate, in two pages. */
static void signal_ends_runstate(void)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
		.u.gpa = page_gpa(4) - 8,
	};

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	kvm_access_create(&o);
	for (uint64_t page = 3; page <= 4; page++) {
		expect_interrupted(interrupted_xen, &attr, page);
		TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, page, 1, NULL), 0);
	}
	interrupted_xen(&attr);
	TEST_ASSERT_EQ(ioctl_errno, 0);
}

/* In 64 bits it is longer, and so comes into a page that KVM has not accessed before. */
static void signal_ends_longer_runstate(void)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
		.u.gpa = page_gpa(4) - XEN_RUNSTATE_32,
	}, running = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT,
		.u.runstate.state = 0,
	};

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	kvm_access_create(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 3, 1, NULL), 0);
	interrupted_xen(&attr);
	TEST_ASSERT_EQ(ioctl_errno, 0);
	xen_configure(o.m->vm);
	expect_interrupted(interrupted_xen, &running, 4);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, 4, 1, NULL), 0);
	interrupted_xen(&running);
	TEST_ASSERT_EQ(ioctl_errno, 0);
}

/*
 * A guest of 32 bits with PAE, in memory below 4 GiB, as its CR3 has to be: page directory
 * pointers, a directory, code.
 */
enum { PAE_POINTERS, PAE_DIRECTORY, PAE_CODE, PAE_PAGES };

#define PAE_GPA		(1ULL << 31)
#define PAE_SLOT	22
#define PAE_PRESENT	1
#define PAE_LARGE	0x83	/* a page of 2 MiB to write to */

static uint64_t pae_gpa(uint64_t page)
{
	return PAE_GPA + page * PAGE_SIZE;
}

static const uint8_t pae_code[PAGE_SIZE] = { 0xe6, 0x10 };	/* out %al, $0x10 */

/* The view; o.pager is its pager from now on. */
static int pae_guest_create(void)
{
	int view;

	view = vm_create_guest_memfd(o.m->vm, PAE_PAGES * PAGE_SIZE, 0);
	vm_set_user_memory_region2(o.m->vm, PAE_SLOT, KVM_MEM_GUEST_MEMFD, PAE_GPA,
				   PAE_PAGES * PAGE_SIZE, o.p.behind, view, 0);
	vm_mem_set_private(o.m->vm, PAE_GPA, PAE_PAGES * PAGE_SIZE);
	o.pager = __pager(view, 0, PAE_PAGES, 0);
	kvm_access_copy_table(&o, PAE_POINTERS, pae_gpa(PAE_DIRECTORY) | PAE_PRESENT);
	kvm_access_copy_table(&o, PAE_DIRECTORY, PAE_GPA | PAE_LARGE);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_COPY, PAE_CODE, 1, pae_code), 0);
	return view;
}

static void pae_guest_runs(void)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_sregs_get(o.m->vcpu, &sregs);
	sregs.efer &= ~(EFER_LME | EFER_LMA);
	sregs.cs.l = 0;
	sregs.cs.db = 1;
	sregs.cr3 = pae_gpa(PAE_POINTERS);
	vcpu_sregs_set(o.m->vcpu, &sregs);
	vcpu_regs_get(o.m->vcpu, &regs);
	regs.rip = PAE_CODE * PAGE_SIZE;
	vcpu_regs_set(o.m->vcpu, &regs);
	vcpu_run(o.m->vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(o.m->vcpu, KVM_EXIT_IO);
}

static void *interrupted_sregs2(void *arg)
{
	ioctl_errno = ioctl(o.m->vcpu->fd, KVM_GET_SREGS2, arg) ? errno : 0;
	o.done = true;
	return NULL;
}

static void signal_ends_get_sregs2(void)
{
	struct kvm_sregs2 sregs2;
	int view;

	/* Elsewhere it is the CPU that tells of them. */
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));
	kvm_access_create(&o);
	view = pae_guest_create();
	pae_guest_runs();
	kvm_access_owe_anew(&o, view, PAE_POINTERS);
	expect_interrupted(interrupted_sregs2, &sregs2, PAE_POINTERS);
	kvm_access_copy_table(&o, PAE_POINTERS, pae_gpa(PAE_DIRECTORY) | PAE_PRESENT);
	interrupted_sregs2(&sregs2);
	TEST_ASSERT_EQ(ioctl_errno, 0);
	TEST_ASSERT_EQ(sregs2.pdptrs[0], pae_gpa(PAE_DIRECTORY) | PAE_PRESENT);
}

/*
 * The same guest inside of another, with nested paging: its CR3 is a guest address of its own. In
 * L1's memory at that address is a page that the pager owes, and nobody has use for.
 */
enum { L1_PML4 = 10, L1_PDPT, L1_PD, L1_PT, L2_POINTERS, L2_DIRECTORY, L2_CODE };

#define NPT_LARGE	(1 << 7)

static void l2_never_gets_here(struct svm_test_data *svm __attribute__((unused)))
{
}

static void l1_runs_pae(uint64_t svm_gva)
{
	static uint64_t stack[512];
	struct svm_test_data *svm = (void *)svm_gva;
	struct vmcb_save_area *save;
	uint64_t *pdpt = page_gva(L1_PDPT), *pt = page_gva(L1_PT);

	*(uint64_t *)page_gva(L1_PML4) = page_gpa(L1_PDPT) | ACCESS_PTE;
	pdpt[0] = ACCESS_PTE | NPT_LARGE;
	pdpt[PAE_GPA >> 30] = page_gpa(L1_PD) | ACCESS_PTE;
	*(uint64_t *)page_gva(L1_PD) = page_gpa(L1_PT) | ACCESS_PTE;
	for (uint64_t page = 0; page < PAE_PAGES; page++)
		pt[page] = page_gpa(L2_POINTERS + page) | ACCESS_PTE;

	generic_svm_setup(svm, l2_never_gets_here, &stack[500]);
	svm->vmcb->control.nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
	svm->vmcb->control.nested_cr3 = page_gpa(L1_PML4);
	save = &svm->vmcb->save;
	save->efer &= ~(EFER_LME | EFER_LMA);
	save->cs.attrib = (save->cs.attrib & ~SVM_SELECTOR_L_MASK) | SVM_SELECTOR_DB_MASK;
	save->cr3 = PAE_GPA;
	save->rip = PAE_CODE * PAGE_SIZE;
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_FAIL("L2 has left with %#x", svm->vmcb->control.exit_code);
}

/* L2 has left to the VMM, which may ask for its registers. */
static void nested_guest_runs(void)
{
	vm_vaddr_t svm;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));
	kvm_access_create(&o);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_ZERO, L1_PML4, 4, NULL), 0);
	kvm_access_copy_table(&o, L2_POINTERS, pae_gpa(PAE_DIRECTORY) | PAE_PRESENT);
	kvm_access_copy_table(&o, L2_DIRECTORY, PAE_GPA | PAE_LARGE);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_COPY, L2_CODE, 1, pae_code), 0);
	vcpu_alloc_svm(o.m->vm, &svm);
	machine_prepare(o.m, l1_runs_pae, svm, 0, 0);
	vcpu_run(o.m->vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(o.m->vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(o.m->vcpu->run->io.port, 0x10);
}

static void nested_cr3_is_another_address(void)
{
	struct kvm_sregs2 sregs2;
	struct kvm_sregs sregs;
	int view;

	nested_guest_runs();
	/* The lab's QEMU has marked one as accessed, which KVM takes for a reserved bit. */
	kvm_access_owe_anew(&o, o.m->view, L2_POINTERS);
	kvm_access_copy_table(&o, L2_POINTERS, pae_gpa(PAE_DIRECTORY) | PAE_PRESENT);
	view = pae_guest_create();
	kvm_access_owe_anew(&o, view, PAE_POINTERS);
	interrupted_sregs2(&sregs2);
	TEST_ASSERT_EQ(ioctl_errno, 0);
	TEST_ASSERT_EQ(sregs2.cr3, PAE_GPA);
	TEST_ASSERT_EQ(sregs2.pdptrs[0], pae_gpa(PAE_DIRECTORY) | PAE_PRESENT);
	vcpu_sregs_get(o.m->vcpu, &sregs);
	vcpu_sregs_set(o.m->vcpu, &sregs);
	TEST_ASSERT(!has_event(o.pager, 0), "L1's page was asked for");
}

/* What it is by L1's tables is waited for with kvm->srcu held, for as long as the memslot stays. */
static void nested_cr3_without_memslot(void)
{
	struct kvm_run *run;

	nested_guest_runs();
	run = o.m->vcpu->run;
	kvm_access_owe_anew(&o, o.m->view, L2_POINTERS);
	vcpu_sregs_get(o.m->vcpu, &run->s.regs.sregs);
	run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	run->immediate_exit = 1;
	pthread_create(&o.thread, NULL, interrupted_run, NULL);
	kvm_access_expect_event(&o, L2_POINTERS);
	wait_asleep(thread_id(o.thread), IN_PAGER_WAIT);
	machine_unbind(o.m);
	pthread_join(o.thread, NULL);
	TEST_ASSERT_EQ(ioctl_errno, EINTR);
	TEST_ASSERT_EQ(run->kvm_dirty_regs, 0UL);
}

static const struct claim claims[] = {
	CLAIM(ioctl_translates, "KVM_TRANSLATE waits, while memslots change"),
	CLAIM(ioctl_sets_msr, "so does KVM_SET_MSRS, for kvmclock's page"),
	CLAIM(signal_ends_translate, "a signal ends KVM_TRANSLATE, which can be called again"),
	CLAIM(signal_ends_set_msrs, "and KVM_SET_MSRS, which has set nothing then"),
	CLAIM(signal_ends_xen_msr, "also where it has Xen's pages written"),
	CLAIM(signal_ends_async_ack, "or the guest told of an async page fault's end"),
	CLAIM(signal_ends_async_list, "also where it is the same call that has such faults begin"),
	CLAIM(signal_ends_wall_clock, "or a clock written that is in two pages"),
	CLAIM(signal_ends_assist_page, "or Hyper-V's assist page"),
	CLAIM(signal_ends_runstate, "a signal ends KVM_XEN_VCPU_SET_ATTR, at each of two pages"),
	CLAIM(signal_ends_longer_runstate, "and where the mode has brought the second one in"),
	CLAIM(ioctl_enables_lapic, "KVM_SET_LAPIC waits for Xen's upcalls, while memslots change"),
	CLAIM(ioctl_sets_sregs, "KVM_SET_SREGS waits for the answer too"),
	CLAIM(signal_ends_get_sregs2, "a signal ends KVM_GET_SREGS2, which may read page tables"),
	CLAIM(signal_ends_run_sregs, "a signal ends KVM_RUN that is to set such registers first"),
	CLAIM(signal_keeps_run_page, "and leaves those of the run page that it has not set"),
	CLAIM(immediate_exit_waits_for_nothing, "with immediate_exit it does not wait for them"),
	CLAIM(nested_cr3_is_another_address, "nor for L1's page at the CR3 of a nested guest"),
	CLAIM(nested_cr3_without_memslot, "that of its own it waits for while its memslot stays"),
};

CLAIMS_MAIN(claims);
