// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU that waits for a pager, and events for its guest: what the guest can take ends
 * the wait, what it can't take costs nothing.
 */
#include <pthread.h>
#include <time.h>

#include "claims.h"
#include "interrupts.h"
#include "paging.h"
#include "private.h"

#define PAGES		PAGING_PAGES
#define IDT_PAGE	3
#define STACK_PAGE	5
#define DATA_PAGE	7
#define VECTOR		0x61
#define OTHER_VECTOR	0x82
#define TIMER_US	300000		/* the guest waits by then */
#define WAIT_US		1000000
#define MAX_CPU_MS	(WAIT_US / 1000 / 5)
#define MAX_EXITS	100

static volatile uint64_t taken;		/* of the guest */

/* A machine with a thread that runs its vCPU, once. */
struct waiting {
	struct machine *m;
	int pager, stats;
	pthread_t thread;
	int err;
	volatile bool done;
};

static void on_event(struct ex_regs *regs __attribute__((unused)))
{
	taken++;
}

static void on_undefined(struct ex_regs *regs)
{
	taken++;
	regs->rip += 2;
}

static void on_interrupt(struct ex_regs *regs)
{
	if (!in_service(regs->vector))
		return;
	taken++;
	eoi();
}

static void waiting_create(struct waiting *w)
{
	struct kvm_vm *vm;

	require_pager();
	*w = (struct waiting){ .m = machine_create(PAGES) };
	vm = w->m->vm;
	w->pager = pager_of(w->m);
	w->stats = vcpu_get_stats_fd(w->m->vcpu);
	vm_install_exception_handler(vm, BP_VECTOR, on_event);
	vm_install_exception_handler(vm, UD_VECTOR, on_undefined);
	vm_install_exception_handler(vm, NMI_VECTOR, on_event);
	vm_install_exception_handler(vm, VECTOR, on_interrupt);
	vm_install_exception_handler(vm, OTHER_VECTOR, on_interrupt);
}

static void *run_thread(void *arg)
{
	struct waiting *w = arg;

	w->err = ioctl(w->m->vcpu->fd, KVM_RUN, NULL) ? errno : 0;
	w->done = true;
	return NULL;
}

static void waiting_resume(struct waiting *w)
{
	w->done = false;
	TEST_ASSERT(!pthread_create(&w->thread, NULL, run_thread, w), "thread");
}

/* Runs @fn(a) up to where it needs @page. */
static void waiting_start(struct waiting *w, void *fn, uint64_t a, uint64_t page)
{
	machine_prepare(w->m, fn, a, 0, 0);
	waiting_resume(w);
	expect_event(w->pager, KVM_GMEM_EVENT_FAULT, page, 1);
	wait_asleep(thread_id(w->thread), IN_PAGER_WAIT);
}

static uint64_t cpu_ms(pthread_t thread)
{
	struct timespec ts;
	clockid_t clock;

	TEST_ASSERT(!pthread_getcpuclockid(thread, &clock) && !clock_gettime(clock, &ts),
		    "CPU time");
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint64_t exits(struct waiting *w)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *all;
	uint64_t value = 0;

	read_stats_header(w->stats, &header);
	all = read_stats_descriptors(w->stats, &header);
	for (uint32_t i = 0; i < header.num_desc; i++) {
		struct kvm_stats_desc *desc = get_stats_descriptor(all, i, &header);

		if (!strcmp(desc->name, "exits"))
			read_stat_data(w->stats, &header, desc, &value, 1);
	}
	free(all);
	return value;
}

/* It waits, and does nothing else for it. */
static void expect_idle(struct waiting *w, unsigned int events)
{
	uint64_t cpu = cpu_ms(w->thread), n = exits(w);

	usleep(WAIT_US);
	TEST_ASSERT(!w->done, "KVM_RUN has returned, errno %d, exit reason %u", w->err,
		    w->m->vcpu->run->exit_reason);
	cpu = cpu_ms(w->thread) - cpu;
	n = exits(w) - n;
	pr_info("waiting for %u ms: %lu ms of CPU, %lu exits\n", WAIT_US / 1000, cpu, n);
	TEST_ASSERT(cpu <= MAX_CPU_MS, "%lu ms of CPU", cpu);
	TEST_ASSERT(n <= MAX_EXITS + events, "%lu exits", n);
}

static uint64_t waiting_result(struct waiting *w)
{
	struct ucall uc;

	pthread_join(w->thread, NULL);
	TEST_ASSERT(!w->err, "KVM_RUN: errno %d", w->err);
	TEST_ASSERT_KVM_EXIT_REASON(w->m->vcpu, KVM_EXIT_IO);
	if (get_ucall(w->m->vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, (uint64_t)UCALL_NONE);
	return *(uint64_t *)addr_gva2hva(w->m->vm, (vm_vaddr_t)&guest_result);
}

static void send(struct waiting *w, uint32_t data)
{
	struct kvm_msi msi = { .address_lo = APIC_DEFAULT_GPA, .data = data };

	TEST_ASSERT(__vm_ioctl(w->m->vm, KVM_SIGNAL_MSI, &msi) > 0, "KVM_SIGNAL_MSI: errno %d",
		    errno);
}

/* ---- events whose delivery needs the page */

enum { BREAKPOINT, UNDEFINED, INTERRUPT, NMI };

static void happen(uint64_t kind)
{
	switch (kind) {
	case BREAKPOINT:
		asm volatile("int3");
		break;
	case UNDEFINED:
		asm volatile("ud2");
		break;
	case INTERRUPT:
		x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | VECTOR);
		take_interrupts();
		break;
	case NMI:
		x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | APIC_DM_NMI);
		break;
	}
}

static void guest_idt_is_owed(uint64_t kind)
{
	struct desc_ptr old, new;

	lapic_enable();
	taken = 0;
	asm volatile("sidt %0" : "=m"(old));
	new = (struct desc_ptr){ .size = old.size, .address = (uint64_t)page_gva(IDT_PAGE) };
	asm volatile("lidt %0" : : "m"(new));
	happen(kind);
	asm volatile("lidt %0" : : "m"(old));
	GUEST_RETURN(taken);
}

static void copy_idt(struct waiting *w)
{
	TEST_ASSERT_EQ(answer(w->pager, KVM_GMEM_ANSWER_COPY, IDT_PAGE, 1,
			      addr_gva2hva(w->m->vm, w->m->vm->arch.idt)), 0);
}

static void delivery(uint64_t kind)
{
	struct waiting w;

	waiting_create(&w);
	waiting_start(&w, guest_idt_is_owed, kind, IDT_PAGE);
	expect_idle(&w, 0);
	copy_idt(&w);
	TEST_ASSERT_EQ(waiting_result(&w), 1UL);
}

static void breakpoint(void)
{
	delivery(BREAKPOINT);
}

static void undefined(void)
{
	delivery(UNDEFINED);
}

static void interrupt(void)
{
	delivery(INTERRUPT);
}

static void nmi(void)
{
	delivery(NMI);
}

/* The stack that an interrupt is to be put on is owed. */
static void guest_stack_is_owed(void)
{
	asm volatile("cli");
	lapic_enable();
	taken = 0;
	x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | VECTOR);
	asm volatile("mov %%rsp, %%rbx; mov %0, %%rsp; sti; nop; nop; cli; mov %%rbx, %%rsp"
		     : : "r"((uint64_t)page_gva(STACK_PAGE + 1) - 64) : "rbx", "memory");
	GUEST_RETURN(taken);
}

static void stack(void)
{
	struct waiting w;

	waiting_create(&w);
	waiting_start(&w, guest_stack_is_owed, 0, STACK_PAGE);
	expect_idle(&w, 0);
	TEST_ASSERT_EQ(answer(w.pager, KVM_GMEM_ANSWER_ZERO, STACK_PAGE, 1, NULL), 0);
	TEST_ASSERT_EQ(waiting_result(&w), 1UL);
}

/* Others than the event that is being delivered wait behind it. */
static void interrupts_behind_delivery(void)
{
	struct waiting w;

	waiting_create(&w);
	waiting_start(&w, guest_idt_is_owed, INTERRUPT, IDT_PAGE);
	for (int i = 0; i < 5; i++)
		send(&w, OTHER_VECTOR);
	expect_idle(&w, 5);
	copy_idt(&w);
	/* The guest's interrupts are on for two instructions: one of both, at least. */
	TEST_ASSERT(waiting_result(&w) >= 1, "no interrupt");
}

/* ---- events that the guest can take while it waits for data */

static void guest_looks(uint64_t interrupts)
{
	volatile uint64_t *data = page_gva(DATA_PAGE);

	asm volatile("cli");
	lapic_enable();
	taken = 0;
	if (interrupts)
		asm volatile("sti");
	GUEST_ASSERT(!*data || *data);
	asm volatile("cli");
	GUEST_RETURN(taken);
}

static uint64_t taken_until_now(struct waiting *w)
{
	return *(volatile uint64_t *)addr_gva2hva(w->m->vm, (vm_vaddr_t)&taken);
}

static void expect_taken(struct waiting *w, uint64_t n)
{
	double until = 0;

	while (taken_until_now(w) < n && claim_is_patient(&until))
		;
	TEST_ASSERT_EQ(taken_until_now(w), n);
}

static void interrupts_end_it(void)
{
	struct waiting w;

	waiting_create(&w);
	waiting_start(&w, guest_looks, 1, DATA_PAGE);
	for (int i = 1; i <= 5; i++) {
		send(&w, VECTOR);
		expect_taken(&w, i);
		wait_asleep(thread_id(w.thread), IN_PAGER_WAIT);
	}
	expect_idle(&w, 0);
	copy(w.pager, 1, DATA_PAGE, 1);
	TEST_ASSERT_EQ(waiting_result(&w), 5UL);
}

static void nmis_end_it(void)
{
	struct waiting w;

	waiting_create(&w);
	waiting_start(&w, guest_looks, 0, DATA_PAGE);
	for (int i = 1; i <= 5; i++) {
		send(&w, APIC_DM_NMI);
		expect_taken(&w, i);
		wait_asleep(thread_id(w.thread), IN_PAGER_WAIT);
	}
	expect_idle(&w, 0);
	copy(w.pager, 1, DATA_PAGE, 1);
	TEST_ASSERT_EQ(waiting_result(&w), 5UL);
}

static void masked_interrupts_do_not(void)
{
	struct waiting w;

	waiting_create(&w);
	waiting_start(&w, guest_looks, 0, DATA_PAGE);
	send(&w, VECTOR);
	expect_idle(&w, 1);
	for (int i = 0; i < 5; i++)
		send(&w, OTHER_VECTOR);
	expect_idle(&w, 5);
	TEST_ASSERT_EQ(taken_until_now(&w), 0UL);
	copy(w.pager, 1, DATA_PAGE, 1);
	TEST_ASSERT_EQ(waiting_result(&w), 0UL);
}

static void guest_timer(uint64_t us)
{
	volatile uint64_t *data = page_gva(DATA_PAGE);

	lapic_enable();
	taken = 0;
	x2apic_write_reg(APIC_TDCR, 0xb);	/* by 1; a tick is a nanosecond */
	x2apic_write_reg(APIC_LVTT, VECTOR);
	x2apic_write_reg(APIC_TMICT, us * 1000);
	asm volatile("sti");
	GUEST_ASSERT(!*data || *data);
	asm volatile("cli");
	GUEST_RETURN(taken);
}

static void timer_ends_it(void)
{
	struct waiting w;

	waiting_create(&w);
	waiting_start(&w, guest_timer, TIMER_US, DATA_PAGE);
	expect_taken(&w, 1);
	expect_idle(&w, 0);
	copy(w.pager, 1, DATA_PAGE, 1);
	TEST_ASSERT_EQ(waiting_result(&w), 1UL);
}

/* An INIT takes the vCPU from whatever it does: this one, the first, to its reset vector. */
static void init(uint64_t kind, void *guest, uint64_t page)
{
	struct kvm_regs regs;
	double until = 0;
	struct waiting w;

	waiting_create(&w);
	waiting_start(&w, guest, kind, page);
	send(&w, APIC_DM_INIT);
	/* Where it finds no memory. */
	while (!w.done)
		TEST_ASSERT(claim_is_patient(&until), "it still waits");
	pthread_join(w.thread, NULL);
	vcpu_regs_get(w.m->vcpu, &regs);
	TEST_ASSERT(regs.rip == 0xfff0 && !regs.rsp, "at %#llx", regs.rip);
}

static void init_of_data(void)
{
	init(0, guest_looks, DATA_PAGE);
}

static void init_of_delivery(void)
{
	init(INTERRUPT, guest_idt_is_owed, IDT_PAGE);
}

static const struct claim claims[] = {
	CLAIM(interrupt, "an interrupt whose gate is owed: the vCPU sleeps, then it is delivered"),
	CLAIM(nmi, "so does an NMI"),
	CLAIM(breakpoint, "so does a breakpoint"),
	CLAIM(undefined, "so does a fault"),
	CLAIM(stack, "and where the stack is owed"),
	CLAIM(interrupts_behind_delivery, "interrupts behind it don't wake the vCPU"),
	CLAIM(interrupts_end_it, "interrupts are taken while data is owed"),
	CLAIM(nmis_end_it, "NMIs are"),
	CLAIM(timer_ends_it, "the guest's own timer's is"),
	CLAIM(masked_interrupts_do_not, "masked ones let the vCPU sleep"),
	CLAIM(init_of_data, "an INIT ends a wait for data"),
	CLAIM(init_of_delivery, "and one in an event's delivery"),
};

CLAIMS_MAIN(claims);
