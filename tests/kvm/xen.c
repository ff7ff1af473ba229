// SPDX-License-Identifier: GPL-2.0-only
/*
 * Xen event channels whose shared page a pager owes: whoever raises an event does not wait
 * for it, least of all a kworker, for which every VM's end on the host would wait. A move
 * takes along what was left to a vCPU.
 */
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

#include "apic.h"
#include "async_ioctl.h"
#include "blocked_page.h"
#include "claims.h"
#include "mapped.h"
#include "moving.h"
#include "kvm_access.h"
#include "xenevents.h"

#define SHARED_PAGE	3
#define VCPU_PAGE	4
#define PORT		70
#define UPCALL		0x45	/* the vector of a vCPU's upcall */
#define KERNEL_WARNED	(1 << 9)	/* in /proc/sys/kernel/tainted */

static struct machine *m;
static int pager, event = -1;

static void set_vcpu_page(void)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
		.u.gpa = page_gpa(VCPU_PAGE),
	};

	vcpu_ioctl(m->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
}

/* The page was there, and is taken away and owed now. */
static void take_shared_page(void)
{
	punch_pages(m->view, SHARED_PAGE, 1);
	close(pager);
	pager = __pager(m->view, SHARED_PAGE, 1, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
	expect_event(pager, KVM_GMEM_EVENT_REMOVE, SHARED_PAGE, 1);
}

static void begin(bool by_address)
{
	require_pager();
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	m = by_address ? mapped_create(KVM_X86_SW_PROTECTED_VM, PAGING_PAGES, MMAP_SHARED) :
		private_create(PAGING_PAGES).m;
	pager = pager_of(m);
	for (uint64_t page = SHARED_PAGE; page <= VCPU_PAGE; page++)
		TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, page, 1, NULL), 0);
	xen_configure(m->vm);
	if (by_address)
		xen_shared_page_at(m->vm, host_page(m, SHARED_PAGE));
	else
		xen_shared_page(m->vm, page_gpa(SHARED_PAGE));
	set_vcpu_page();
	event = eventfd(0, 0);
	xen_irqfd(m->vm, event, PORT);
	take_shared_page();
}

static void signal_event(void)
{
	uint64_t one = 1;

	TEST_ASSERT_EQ(write(event, &one, sizeof(one)), sizeof(one));
}

static void signal_event_and_ask(void)
{
	signal_event();
	expect_event(pager, KVM_GMEM_EVENT_FAULT, SHARED_PAGE, 1);
}

/* Of a kworker that waits, the first would be in wait for it, the second for the first. */
static void expect_teardown(void)
{
	struct kvm_irqfd irqfd = { .fd = event, .gsi = XEN_GSI, .flags = KVM_IRQFD_FLAG_DEASSIGN };

	vm_ioctl(m->vm, KVM_IRQFD, &irqfd);
	kvm_vm_free(vm_create_barebones());
}

static void *run(void *arg)
{
	TEST_ASSERT(!ioctl(m->vcpu->fd, KVM_RUN, NULL), "KVM_RUN: errno %d", errno);
	return arg;
}

static void guest_pending(void)
{
	GUEST_RETURN(((volatile uint64_t *)page_gva(SHARED_PAGE))[XEN_PENDING + PORT / 64]);
}

static void expect_found(void)
{
	TEST_ASSERT_EQ(*(uint64_t *)addr_gva2hva(m->vm, (vm_vaddr_t)&guest_result),
		       1ULL << PORT % 64);
}

/* The guest finds it, once the page is there. */
static void expect_event_pending(void)
{
	pthread_t thread;

	machine_prepare(m, guest_pending, 0, 0, 0);
	pthread_create(&thread, NULL, run, NULL);
	wait_asleep(thread_id(thread), IN_PAGER_WAIT);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, SHARED_PAGE, 1, NULL), 0);
	pthread_join(thread, NULL);
	expect_found();
}

static void kworker(void)
{
	begin(false);
	signal_event_and_ask();
	expect_teardown();
	expect_event_pending();
}

static void kworker_by_address(void)
{
	begin(true);
	signal_event();
	expect_teardown();
	expect_event_pending();
}

/* KVM's cache of the page is out of date, but the page is there: it has the event at once. */
static void kworker_has_the_page(void)
{
	begin(true);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, SHARED_PAGE, 1, NULL), 0);
	host_page(m, SHARED_PAGE)[0] = 0;
	signal_event();
	expect_teardown();
	TEST_ASSERT_EQ(host_page(m, SHARED_PAGE)[XEN_PENDING + PORT / 64], 1ULL << PORT % 64);
}

/* There is no event then, and a vCPU does not try for ever. */
static void failed_page(void)
{
	begin(false);
	signal_event_and_ask();
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_FAIL, SHARED_PAGE, 1, NULL), 0);
	expect_teardown();
	TEST_ASSERT_EQ(machine_call(m, guest_look, VCPU_PAGE, 0, 0), 0UL);
	signal_event();
	expect_teardown();
	TEST_ASSERT_EQ(machine_call(m, guest_look, VCPU_PAGE, 0, 0), 0UL);
}

/* Whoever asks for it does not wait, either. */
static void ioctl_sends(void)
{
	struct kvm_irq_routing_xen_evtchn evtchn = xen_evtchn(PORT);

	begin(false);
	vm_ioctl(m->vm, KVM_XEN_HVM_EVTCHN_SEND, &evtchn);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, SHARED_PAGE, 1);
	expect_event_pending();
}

static void *raise_line(void *arg)
{
	struct kvm_irq_level line = { .irq = XEN_GSI, .level = 1 };

	vm_ioctl(m->vm, KVM_IRQ_LINE, &line);
	return arg;
}

/* The ioctl waits in a host fault. It holds nothing that a teardown waits for. */
static void irq_line_waits(bool with_kworker)
{
	pthread_t thread;

	begin(true);
	pthread_create(&thread, NULL, raise_line, NULL);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, SHARED_PAGE, 1);
	if (with_kworker)
		signal_event();
	expect_teardown();
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, SHARED_PAGE, 1, NULL), 0);
	pthread_join(thread, NULL);
	machine_prepare(m, guest_pending, 0, 0, 0);
	run(NULL);
	expect_found();
}

static void irq_line_waits_alone(void)
{
	irq_line_waits(false);
}

/* It has the mutex of the shared page's cache. */
static void kworker_beside_a_wait(void)
{
	irq_line_waits(true);
}

/* The destination's VMM says there what is shared, as it does with all that no move takes along. */
static void moved(void)
{
	struct machine *dst;

	require_move();
	begin(false);
	signal_event_and_ask();
	expect_teardown();
	dst = destination(m);
	move(dst, m);
	m = dst;
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, SHARED_PAGE, 1, NULL), 0);
	xen_configure(m->vm);
	xen_shared_page(m->vm, page_gpa(SHARED_PAGE));
	set_vcpu_page();
	machine_prepare(m, guest_pending, 0, 0, 0);
	run(NULL);
	expect_found();
}

static struct kvm_vcpu *sleeper;
static volatile unsigned int returns;
static volatile bool enough;

static void wake(int number)
{
	(void)number;
}

/* Without SA_RESTART: an ioctl ends. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = wake };

	sigaction(SIGUSR1, &action, NULL);
}

static void *keep_running(void *arg)
{
	while (!enough) {
		ioctl(sleeper->fd, KVM_RUN, NULL);
		returns++;
	}
	return arg;
}

static void end_running(pthread_t thread)
{
	double until = 0;

	enough = true;
	while (pthread_kill(thread, SIGUSR1), pthread_tryjoin_np(thread, NULL))
		TEST_ASSERT(claim_is_patient(&until), "no signal ends KVM_RUN");
}

/* An event of a second vCPU that waits for SIPI: it sleeps, and has the event once it runs. */
static void wait_for_sipi(uint32_t state)
{
	struct kvm_mp_state mp = { .mp_state = state };
	struct kvm_irq_routing_xen_evtchn evtchn = xen_evtchn(PORT);
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
		.u.gpa = page_gpa(VCPU_PAGE) + 512,
	};
	pthread_t thread;
	unsigned int n;

	begin(false);
	catch_signals();
	sleeper = vm_vcpu_add(m->vm, 1, guest_pending);
	vcpu_ioctl(sleeper, KVM_XEN_VCPU_SET_ATTR, &attr);
	vcpu_mp_state_set(sleeper, &mp);
	pthread_create(&thread, NULL, keep_running, NULL);
	wait_asleep(thread_id(thread), IN_HALT);
	evtchn.vcpu = 1;
	vm_ioctl(m->vm, KVM_XEN_HVM_EVTCHN_SEND, &evtchn);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, SHARED_PAGE, 1);
	usleep(300000);
	n = returns;
	end_running(thread);
	TEST_ASSERT(n <= 3, "KVM_RUN returned %u times in 300 ms", n);

	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, SHARED_PAGE, 1, NULL), 0);
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	vcpu_mp_state_set(sleeper, &mp);
	TEST_ASSERT(!ioctl(sleeper->fd, KVM_RUN, NULL), "KVM_RUN: errno %d", errno);
	expect_found();
}

static void not_started(void)
{
	wait_for_sipi(KVM_MP_STATE_UNINITIALIZED);
}

static void waits_for_sipi(void)
{
	wait_for_sipi(KVM_MP_STATE_INIT_RECEIVED);
}

static int get_attr_errno;

static void *get_attr(void *arg)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO };

	get_attr_errno = ioctl(m->vcpu->fd, KVM_XEN_VCPU_GET_ATTR, &attr) ? errno : 0;
	return arg;
}

/* When the vCPU's state has been asked for, its events are in memory, and it has not run. */
static void saved(void)
{
	struct machine *reader;
	pthread_t thread;

	require_link();
	begin(false);
	catch_signals();
	signal_event_and_ask();
	expect_teardown();

	pthread_create(&thread, NULL, get_attr, NULL);
	wait_asleep(thread_id(thread), IN_PAGER_WAIT);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	TEST_ASSERT_EQ(get_attr_errno, EINTR);

	pthread_create(&thread, NULL, get_attr, NULL);
	wait_asleep(thread_id(thread), IN_PAGER_WAIT);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, SHARED_PAGE, 1, NULL), 0);
	pthread_join(thread, NULL);
	TEST_ASSERT_EQ(get_attr_errno, 0);

	reader = machine_link(m->view, PAGING_PAGES);
	machine_call(reader, guest_pending, 0, 0, 0);
	TEST_ASSERT_EQ(*(uint64_t *)addr_gva2hva(reader->vm, (vm_vaddr_t)&guest_result),
		       1ULL << PORT % 64);
}

/* No pager, and no page of the vCPU's that KVM knows of. */
static void begin_without_vcpu_page(void)
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	m = private_create(PAGING_PAGES).m;
	xen_configure(m->vm);
}

static void send_event(void)
{
	struct kvm_irq_routing_xen_evtchn evtchn = xen_evtchn(PORT);

	vm_ioctl(m->vm, KVM_XEN_HVM_EVTCHN_SEND, &evtchn);
}

static void expect_no_warning(void)
{
	FILE *file = fopen("/proc/sys/kernel/tainted", "r");
	unsigned long tainted;

	TEST_ASSERT(file && fscanf(file, "%lu", &tainted) == 1, "tainted");
	fclose(file);
	TEST_ASSERT(!(tainted & KERNEL_WARNED), "the kernel has warned of something");
}

/* A vCPU that has its page finds there that an event is pending. */
static void expect_upcall_pending(void)
{
	set_vcpu_page();
	get_attr(NULL);
	TEST_ASSERT_EQ(get_attr_errno, 0);
	TEST_ASSERT_EQ(machine_call(m, guest_look, VCPU_PAGE, 0, 0) & 0xff, 1UL);
}

static void no_vcpu_page(void)
{
	begin_without_vcpu_page();
	xen_shared_page(m->vm, page_gpa(SHARED_PAGE));
	send_event();
	get_attr(NULL);
	TEST_ASSERT_EQ(get_attr_errno, 0);
	TEST_ASSERT_EQ(machine_call(m, guest_look, VCPU_PAGE, 0, 0), 0UL);
	expect_no_warning();
	expect_upcall_pending();
}

static void no_vcpu_page_moved(void)
{
	struct machine *dst;

	require_move();
	begin_without_vcpu_page();
	xen_shared_page(m->vm, page_gpa(SHARED_PAGE));
	send_event();
	dst = destination(m);
	move(dst, m);
	m = dst;
	xen_configure(m->vm);
	TEST_ASSERT_EQ(machine_call(m, guest_look, VCPU_PAGE, 0, 0), 0UL);
	expect_no_warning();
	expect_upcall_pending();
}

static void no_shared_page(void)
{
	struct kvm_irq_routing_xen_evtchn evtchn = xen_evtchn(PORT);

	begin_without_vcpu_page();
	TEST_ERRNO(ioctl(m->vm->fd, KVM_XEN_HVM_EVTCHN_SEND, &evtchn), EINVAL);
	set_vcpu_page();
	TEST_ERRNO(ioctl(m->vm->fd, KVM_XEN_HVM_EVTCHN_SEND, &evtchn), EINVAL);
	expect_no_warning();
}

static void guest_halt(void)
{
	asm volatile("hlt");
	GUEST_RETURN(0);
}

static uint64_t cpu_time_ms(pthread_t thread)
{
	struct timespec ts;
	clockid_t clock;

	TEST_ASSERT(!pthread_getcpuclockid(thread, &clock), "a thread's clock");
	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* There is nothing for it to do until there is a page. */
static void no_vcpu_page_halted(void)
{
	pthread_t thread;
	uint64_t ms;

	begin_without_vcpu_page();
	xen_shared_page(m->vm, page_gpa(SHARED_PAGE));
	send_event();
	catch_signals();
	sleeper = m->vcpu;
	machine_prepare(m, guest_halt, 0, 0, 0);
	pthread_create(&thread, NULL, keep_running, NULL);
	wait_asleep(thread_id(thread), IN_HALT);
	ms = cpu_time_ms(thread);
	usleep(500000);
	ms = cpu_time_ms(thread) - ms;
	end_running(thread);
	TEST_ASSERT(ms < 100, "a vCPU in HLT had the CPU for %lu of 500 ms", ms);
}

/* The vCPU keeps the event for the page that comes next. */
static void taken_away(void)
{
	begin(false);
	signal_event_and_ask();
	expect_teardown();
	xen_no_shared_page(m->vm);
	TEST_ASSERT_EQ(machine_call(m, guest_look, VCPU_PAGE, 0, 0), 0UL);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, SHARED_PAGE, 1, NULL), 0);
	xen_shared_page(m->vm, page_gpa(SHARED_PAGE));
	machine_prepare(m, guest_pending, 0, 0, 0);
	run(NULL);
	expect_found();
}

static void expect_no_wait(int fd, unsigned long request, void *arg)
{
	struct async_ioctl ioctl;
	double until = 0;

	async_ioctl_start(&ioctl, fd, request, (unsigned long)arg);
	while (!async_ioctl_is_done(&ioctl))
		TEST_ASSERT(claim_is_patient(&until), "ioctl %#lx waits", request);
	TEST_ASSERT(async_ioctl_result(&ioctl) >= 0, "ioctl %#lx", request);
}

/* It is still owed: nobody waits for it, nor for a vCPU's own. */
static void no_wait_for_what_was_taken_away(void)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO };
	struct kvm_xen_hvm_attr mode = { .type = KVM_XEN_ATTR_TYPE_LONG_MODE };
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = {
		.header.nmsrs = 1,
		.entry = { .index = XEN_MSR, .data = page_gpa(VCPU_PAGE + 1) },
	};

	begin(false);
	signal_event_and_ask();
	expect_teardown();
	xen_no_shared_page(m->vm);
	expect_no_wait(m->vcpu->fd, KVM_XEN_VCPU_GET_ATTR, &attr);
	expect_no_wait(m->vm->fd, KVM_XEN_HVM_SET_ATTR, &mode);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, VCPU_PAGE + 1, 1, NULL), 0);
	expect_no_wait(m->vcpu->fd, KVM_SET_MSRS, &msrs);
}

static void *share_blocked_page(void *blocked)
{
	xen_shared_page_at(m->vm, ((struct blocked_page *)blocked)->page);
	return NULL;
}

/* It has the mutex of the cache, too, and waits in a host fault. */
static void kworker_beside_activation(void)
{
	struct blocked_page blocked;
	pthread_t thread;

	begin(false);
	blocked_page_init(&blocked);
	pthread_create(&thread, NULL, share_blocked_page, &blocked);
	blocked_page_wait(&blocked);
	signal_event();
	expect_teardown();
	blocked_page_let_go(&blocked, NULL, 0);
	pthread_join(thread, NULL);
	machine_call(m, guest_look, VCPU_PAGE, 0, 0);
	TEST_ASSERT_EQ(((uint64_t *)blocked.page)[XEN_PENDING + PORT / 64], 1ULL << PORT % 64);
}

static bool upcall_is_requested(struct kvm_lapic_state *lapic)
{
	vcpu_ioctl(m->vcpu, KVM_GET_LAPIC, lapic);
	return *(uint32_t *)(lapic->regs + APIC_IRR + UPCALL / 32 * 16) & 1U << UPCALL % 32;
}

/* So whoever asks for the LAPIC before has one without it. */
static void saved_upcall(void)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR,
		.u.vector = UPCALL,
	};
	struct kvm_lapic_state lapic;

	begin(false);
	vcpu_ioctl(m->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
	vcpu_ioctl(m->vcpu, KVM_GET_LAPIC, &lapic);
	*(uint32_t *)(lapic.regs + APIC_SPIV) |= APIC_SPIV_APIC_ENABLED;
	vcpu_ioctl(m->vcpu, KVM_SET_LAPIC, &lapic);
	signal_event_and_ask();
	expect_teardown();
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, SHARED_PAGE, 1, NULL), 0);
	TEST_ASSERT(!upcall_is_requested(&lapic), "an upcall for an event that is in no page");
	get_attr(NULL);
	TEST_ASSERT_EQ(get_attr_errno, 0);
	TEST_ASSERT(upcall_is_requested(&lapic), "no upcall, after KVM_XEN_VCPU_GET_ATTR");
}

/* The memory goes: so does the event, and nobody looks for it. */
static void view_goes(void)
{
	begin(false);
	signal_event_and_ask();
	machine_close_view(m);
	expect_teardown();
	TEST_ASSERT(machine_try(m, guest_pending, 0, 0, 0) == EFAULT, "errno %d", errno);
}

static const struct claim claims[] = {
	CLAIM(kworker, "an irqfd's event waits for the page with its vCPU, and with nobody else"),
	CLAIM(kworker_by_address, "so it does where the VMM says where it has the page mapped"),
	CLAIM(kworker_has_the_page,
	      "a page that is there has the event at once, with no vCPU at work"),
	CLAIM(failed_page, "where the pager fails the page, the guest runs all the same"),
	CLAIM(ioctl_sends, "KVM_XEN_HVM_EVTCHN_SEND does not wait"),
	CLAIM(irq_line_waits_alone, "KVM_IRQ_LINE may wait in a host fault, and holds up nobody"),
	CLAIM(kworker_beside_a_wait, "a kworker does not wait for that ioctl, either"),
	CLAIM(moved, "a move without vCPUs takes along what was left to a vCPU"),
	CLAIM(not_started, "a vCPU that was not started sleeps on, and has its event when it runs"),
	CLAIM(waits_for_sipi, "so does one that waits for SIPI"),
	CLAIM(saved, "whoever asks for the vCPU's state to save it has the event in the page"),
	CLAIM(saved_upcall, "and the upcall in its LAPIC, only then"),
	CLAIM(kworker_beside_activation,
	      "a kworker does not wait for an ioctl that says where the shared page is"),
	CLAIM(taken_away, "a vCPU keeps its events while there is no shared page"),
	CLAIM(no_wait_for_what_was_taken_away, "an ioctl does not wait for a page that was one"),
	CLAIM(no_vcpu_page, "an event of a vCPU without a page waits for one; KVM does not warn"),
	CLAIM(no_vcpu_page_moved, "so it does in a VM that it was moved to"),
	CLAIM(no_vcpu_page_halted, "such a vCPU sleeps in HLT"),
	CLAIM(no_shared_page, "without a shared page an event is EINVAL"),
	CLAIM(view_goes, "where the memory goes, the event goes with it"),
};

CLAIMS_MAIN(claims);
