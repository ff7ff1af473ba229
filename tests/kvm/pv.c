// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM and the guest tell each other in memory (kvmclock, steal time, PV EOI, async
 * page faults), on pages of a mappable inode that are converted in place and punched.
 */
#include <asm/kvm_para.h>
#include <asm/pvclock-abi.h>
#include <pthread.h>
#include <sched.h>

#include "claims.h"
#include "stress.h"
#include "interrupts.h"
#include "mapped.h"
#include "private.h"
#include "runner.h"
#include "reuse.h"

#define PAGES		8
#define VECTOR		0x50
#define APF_VECTOR	0x51
#define REUSE_PAGES	64

enum { CLOCK, STEAL, EOI, APF, AREAS };	/* pages */

static struct machine *m;
static struct reuse reuse;

/* Of the guest: what came. */
static volatile uint64_t interrupts, eois_saved, woken;

static volatile struct pvclock_vcpu_time_info *clock_area(void)
{
	return page_gva(CLOCK);
}

static volatile struct kvm_steal_time *steal_area(void)
{
	return page_gva(STEAL);
}

static void on_interrupt(struct ex_regs *regs)
{
	if (__atomic_exchange_n((uint32_t *)page_gva(EOI), 0, __ATOMIC_SEQ_CST) & 1)
		eois_saved++;
	else if (in_service(regs->vector))
		eoi();
	interrupts++;
}

/* A page that was punched meanwhile has no token; the interrupt is for it all the same. */
static void on_page_ready(struct ex_regs *regs)
{
	struct kvm_vcpu_pv_apf_data *apf = page_gva(APF);

	if (!in_service(regs->vector))
		return;
	GUEST_ASSERT(!apf->token || apf->token == ~0U);
	woken += apf->token != 0;
	apf->token = 0;
	wrmsr(MSR_KVM_ASYNC_PF_ACK, 1);
	eoi();
}

static void guest_code_begin(void)
{
	lapic_enable();
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, page_gpa(CLOCK) | KVM_MSR_ENABLED);
	wrmsr(MSR_KVM_STEAL_TIME, page_gpa(STEAL) | KVM_MSR_ENABLED);
	wrmsr(MSR_KVM_PV_EOI_EN, page_gpa(EOI) | KVM_MSR_ENABLED);
	wrmsr(MSR_KVM_ASYNC_PF_INT, APF_VECTOR);
	GUEST_RETURN(0);
}

/* Has KVM write to each: interrupts come, and who waits for a page is told. */
static void guest_code_work(void)
{
	interrupts = 0;
	eois_saved = 0;
	woken = 0;
	for (int i = 0; i < 3; i++) {
		x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | VECTOR);
		take_interrupts();
	}
	wrmsr(MSR_KVM_ASYNC_PF_EN, page_gpa(APF) | KVM_ASYNC_PF_ENABLED |
	      KVM_ASYNC_PF_DELIVERY_AS_INT);
	for (int i = 0; i < 100 && !woken; i++)
		take_interrupts();
	GUEST_RETURN(0);
}

static void guest_code_check(void)
{
	GUEST_ASSERT(clock_area()->tsc_to_system_mul);
	GUEST_ASSERT(clock_area()->version && !(clock_area()->version & 1));
	GUEST_ASSERT(steal_area()->version && !(steal_area()->version & 1));
	GUEST_ASSERT_EQ(steal_area()->preempted, 0);
	GUEST_ASSERT(interrupts >= 3);
	GUEST_ASSERT(eois_saved);
	GUEST_ASSERT(woken);
	GUEST_RETURN(0);
}

static void begin(void)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_CONVERT,
		       "these modules have no KVM_SET_MEMORY_ATTRIBUTES2");
	/*
	 * Nothing is at userspace_addr: what is there is dropped by the host's MMU
	 * notifiers too, which would do the engine's work.
	 */
	m = machine_of_type(KVM_X86_SW_PROTECTED_VM, PAGES);
	m->view = vm_create_guest_memfd(m->vm, PAGES * PAGE_SIZE, MMAP_SHARED);
	machine_bind(m, 0);
	m->host = map_view(m->view, PAGES);
	reuse_init(&reuse, REUSE_PAGES);
	vm_install_exception_handler(m->vm, VECTOR, on_interrupt);
	vm_install_exception_handler(m->vm, APF_VECTOR, on_page_ready);
	machine_call(m, guest_code_begin, 0, 0, 0);
}

/* To its end, whatever is converted under it: it must end the interrupts that it got. */
static void work(void *arg __attribute__((unused)))
{
	machine_call_on(m, guest_code_work, 0, 0, 0);
}

/* All four are written, and right, where the guest looks. */
static void expect_all(void)
{
	touch_clock(m);
	work(NULL);
	machine_call(m, guest_code_check, 0, 0, 0);
}

static void guest_code_read(uint64_t page, uint64_t word)
{
	GUEST_RETURN(((volatile uint64_t *)page_gva(page))[word]);
}

static uint64_t guest_read(struct machine *who, uint64_t page, uint64_t word)
{
	return machine_call(who, guest_code_read, page, word, 0);
}

/*
 * The guest finds what the clock had, or later: KVM updates it also of its own
 * accord, but for its rate.
 */
static void expect_clock(uint32_t version, uint32_t rate)
{
	TEST_ASSERT((uint32_t)guest_read(m, CLOCK, 0) >= version, "the clock went back");
	TEST_ASSERT_EQ((uint32_t)guest_read(m, CLOCK, 3), rate);
}

static void areas_follow_conversions(void)
{
	struct pvclock_vcpu_time_info *clock;
	uint32_t version, rate;

	begin();
	for (int i = 0; i < 10; i++) {
		make_shared(m->view, 0, AREAS);
		expect_all();
		clock = (struct pvclock_vcpu_time_info *)host_page(m, CLOCK);
		version = clock->version;
		rate = clock->tsc_to_system_mul;
		expect_clock(version, rate);

		make_private(m->view, 0, AREAS);
		host_expect_sigbus(m, 0, AREAS);
		/* The content stays, and goes on. */
		expect_clock(version, rate);
		expect_all();
		TEST_ASSERT((uint32_t)guest_read(m, CLOCK, 0) > version, "the clock stands still");
		host_expect_sigbus(m, 0, AREAS);
	}
}

static void areas_follow_holes(void)
{
	begin();
	for (int i = 0; i < 10; i++) {
		if (i & 1)
			make_private(m->view, 0, AREAS);
		else
			make_shared(m->view, 0, AREAS);
		expect_all();
		punch_pages(m->view, 0, AREAS);
		reuse_take(&reuse);
		expect_all();
		reuse_give_back(&reuse);
	}
}

static void punch(void *arg __attribute__((unused)))
{
	punch_pages(m->view, 0, AREAS);
	cpu_relax();
}

/* None is EAGAIN: KVM keeps no reference to what it writes to. */
static void convert(void *arg __attribute__((unused)))
{
	static unsigned int n;
	uint64_t page = n++ % AREAS;

	make_private(m->view, page, 1);
	cpu_relax();
	make_shared(m->view, page, 1);
}

static void update_clock(void *arg __attribute__((unused)))
{
	touch_clock(m);
}

static void next_owner(void *arg __attribute__((unused)))
{
	reuse_take(&reuse);
	usleep(1000);
	reuse_give_back(&reuse);
}

static void holes_and_conversions(void)
{
	const struct stress_op ops[] = {
		{ "work", work, NULL },
		{ "clock", update_clock, NULL },
		{ "punch", punch, NULL },
		{ "convert", convert, NULL },
		{ "next owner", next_owner, NULL },
	};

	begin();
	STRESS(ops);
	make_private(m->view, 0, AREAS);
	expect_all();
}

static void run_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "sched_setaffinity");
}

static bool done;

static void *compete(void *arg)
{
	while (!__atomic_load_n(&done, __ATOMIC_RELAXED))
		;
	return arg;
}

/* The guest itself, which runs when it looks, finds the mark cleared. */
static void guest_code_count(void)
{
	for (;;) {
		GUEST_ASSERT_EQ(steal_area()->preempted, 0);
		interrupts++;
	}
}

/* Word by word, as the other's guest reads. */
#define PREEMPTED_WORD	(offsetof(struct kvm_steal_time, preempted) / 8)
_Static_assert(offsetof(struct kvm_steal_time, preempted) % 8 == 0, "its lowest byte");

/* On CPU 0 the guest runs by turns with a thread; on CPU 1, if there is one, it is looked at. */
static void expect_told(struct machine *other, bool private)
{
	volatile uint64_t *count = GUEST_VARIABLE(m->vm, interrupts);
	uint64_t told = 0, before = *count;
	double until = 0;
	pthread_t thread;
	struct runner r;

	done = false;
	run_on(0);
	machine_prepare(m, guest_code_count, 0, 0, 0);
	runner_start(&r, m->vcpu);
	TEST_ASSERT(!pthread_create(&thread, NULL, compete, NULL), "pthread_create");
	run_on(1);
	do {
		told = private ? guest_read(other, STEAL, PREEMPTED_WORD) :
				 host_page(m, STEAL)[PREEMPTED_WORD];
		told = (told & 0xff) == KVM_VCPU_PREEMPTED;
	} while (!told && claim_is_patient(&until));
	wait_for(count, before + 1000);
	__atomic_store_n(&done, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	if (runner_stop(&r) && get_ucall(m->vcpu, &m->said) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(m->said);
	TEST_ASSERT(!r.ended, "exit reason %u", m->vcpu->run->exit_reason);
	TEST_ASSERT(told, "not told in %s memory", private ? "private" : "shared");
}

/* To others: the host, or, where that sees nothing, another VM's guest. */
static void preempted_is_told(void)
{
	struct machine *other;

	begin();
	other = mapped_link(KVM_X86_SW_PROTECTED_VM, m->view, PAGES);
	expect_told(other, false);
	make_private(m->view, STEAL, 1);
	host_expect_sigbus(m, STEAL, 1);
	expect_told(other, true);
}

static const struct claim claims[] = {
	CLAIM(areas_follow_conversions, "all of them go on in place, private and shared"),
	CLAIM(areas_follow_holes, "and in the new page after a hole, not in the old one"),
	CLAIM(holes_and_conversions,
	      "at once with both, no freed page is written, no conversion refused"),
	CLAIM(preempted_is_told, "that a vCPU is preempted is told in private memory too"),
};

CLAIMS_MAIN(claims);
