// SPDX-License-Identifier: GPL-2.0-only
/*
 * Xen event channels of a VM that was moved, without its vCPUs, of which such a move takes
 * nothing along: whoever raises an event in the source is refused, or keeps it. Nothing
 * is written to the memory of a guest that another VM runs.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>

#include "claims.h"
#include "mapped.h"
#include "moving.h"
#include "paging.h"
#include "private.h"
#include "blocked_page.h"
#include "xenevents.h"

#define PAGES		8
#define SHARED_PAGE	3
#define VCPU_PAGE	4
#define TIMER_MS	2000

/* By whom an event is raised: each has a port of its own. */
enum { BEFORE = 64, TIMER_BEFORE, IOCTL, IRQFD, TIMER, PIT };
#define SENT_BEFORE	(1ULL << (BEFORE % 64) | 1ULL << (TIMER_BEFORE % 64))

static struct machine *src, *dst;
static volatile uint64_t *pending;	/* where the host sees it */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void guest_pending(uint64_t page)
{
	GUEST_RETURN(((volatile uint64_t *)page_gva(page))[XEN_PENDING + 1]);
}

/* The word that has all of these ports, as the guest of the VM that owns it finds it. */
static uint64_t pending_in(struct machine *m)
{
	return pending ? *pending : machine_call(m, guest_pending, SHARED_PAGE, 0, 0);
}

static void set_timer(unsigned int port, uint64_t ms)
{
	struct kvm_clock_data clock;
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
		.u.timer = { .port = port, .priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL },
	};

	vm_ioctl(src->vm, KVM_GET_CLOCK, &clock);
	attr.u.timer.expires_ns = clock.clock + ms * 1000000;
	vcpu_ioctl(src->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
}

struct sending {
	struct blocked_page blocked;
	pthread_t thread;
	int err;
};

/* Its argument comes late, so that KVM has found the VM alive by then. */
static void *send_late(void *arg)
{
	struct sending *s = arg;

	s->err = ioctl(src->vm->fd, KVM_XEN_HVM_EVTCHN_SEND, s->blocked.page) ? errno : 0;
	return NULL;
}

static void events_before(void)
{
	const struct kvm_irq_routing_xen_evtchn evtchn = xen_evtchn(BEFORE);
	double until = 0;

	vm_ioctl(src->vm, KVM_XEN_HVM_EVTCHN_SEND, &evtchn);
	set_timer(TIMER_BEFORE, 1);
	while (pending_in(src) != SENT_BEFORE)
		TEST_ASSERT(claim_is_patient(&until), "%#lx is pending", pending_in(src));
}

static void expect_none_after(void)
{
	const struct kvm_irq_routing_xen_evtchn evtchn = xen_evtchn(IOCTL);
	struct pollfd event = { .fd = eventfd(0, 0), .events = POLLIN };
	struct sending s;
	uint64_t expires;

	events_before();
	xen_irqfd(src->vm, event.fd, IRQFD);
	blocked_page_init(&s.blocked);
	TEST_ASSERT(!pthread_create(&s.thread, NULL, send_late, &s), "thread");
	blocked_page_wait(&s.blocked);
	expires = now_ms() + TIMER_MS * claim_slowness();
	set_timer(TIMER, TIMER_MS * claim_slowness());

	move(dst, src);
	TEST_ASSERT(now_ms() < expires, "the move was too slow");
	blocked_page_let_go(&s.blocked, &evtchn, sizeof(evtchn));
	pthread_join(s.thread, NULL);
	TEST_ASSERT_EQ(s.err, EIO);
	TEST_ASSERT(!eventfd_write(event.fd, 1), "write to an eventfd");
	while (now_ms() < expires + 200)
		usleep(10000);

	TEST_ASSERT_EQ(pending_in(dst), SENT_BEFORE);
	TEST_ASSERT_EQ(poll(&event, 1, 0), 1);
	TEST_ERRNO(ioctl(src->vm->fd, KVM_XEN_HVM_EVTCHN_SEND, &evtchn), EIO);
}

static void begin(struct machine *m)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
		.u.gpa = page_gpa(VCPU_PAGE),
	};

	src = m;
	xen_configure(src->vm);
	vcpu_ioctl(src->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
}

static void require_events(void)
{
	require_move();
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
}

/* In memory that is no inode's: what the host has there, the guest sees. */
static void in_plain_memory(bool by_address)
{
	vm_vaddr_t page;

	require_events();
	begin(machine_create(PAGES));
	page = vm_vaddr_alloc_page(src->vm);
	pending = (uint64_t *)addr_gva2hva(src->vm, page) + XEN_PENDING + 1;
	if (by_address)
		xen_shared_page_at(src->vm, addr_gva2hva(src->vm, page));
	else
		xen_shared_page(src->vm, addr_gva2gpa(src->vm, page));
	dst = destination(src);
	expect_none_after();
}

static void plain(void)
{
	in_plain_memory(false);
}

static void plain_by_address(void)
{
	in_plain_memory(true);
}

static void private(void)
{
	require_events();
	begin(private_create(PAGES).m);
	xen_shared_page(src->vm, page_gpa(SHARED_PAGE));
	dst = destination(src);
	expect_none_after();
}

static void mapped_by_address(void)
{
	require_events();
	begin(mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED));
	pending = host_page(src, SHARED_PAGE) + XEN_PENDING + 1;
	xen_shared_page_at(src->vm, host_page(src, SHARED_PAGE));
	dst = mapped_link(KVM_X86_SW_PROTECTED_VM, src->view, PAGES);
	expect_none_after();
}

/* 100 interrupts a second, whether the guest takes them or not. */
static void start_pit(struct kvm_vm *vm)
{
	struct kvm_pit_state2 pit = { .channels[0] = { .count = 11932, .mode = 2, .gate = 1 } };
	struct kvm_reinject_control control = { .pit_reinject = 0 };
	struct kvm_pit_config config = { 0 };

	vm_ioctl(vm, KVM_CREATE_PIT2, &config);
	vm_ioctl(vm, KVM_REINJECT_CONTROL, &control);
	vm_ioctl(vm, KVM_SET_PIT2, &pit);
}

/* The source's PIT asks no pager for the page, in the name of a dead VM, and ends with it. */
static void pit(void)
{
	int pager;

	require_events();
	require_pager();
	begin(private_create(PAGES).m);
	xen_shared_page(src->vm, page_gpa(SHARED_PAGE));
	xen_route(src->vm, 0, PIT);
	start_pit(src->vm);
	usleep(100000);
	TEST_ASSERT_EQ(pending_in(src), 1ULL << PIT % 64);
	dst = destination(src);
	move(dst, src);
	punch_pages(dst->view, SHARED_PAGE, 1);
	pager = __pager(dst->view, SHARED_PAGE, 1, 0);
	TEST_ASSERT(pager >= 0, "pager: errno %d", errno);
	TEST_ASSERT(!has_event(pager, 200), "the source's PIT asks for the page");
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, SHARED_PAGE, 1, NULL), 0);
	usleep(100000);
	TEST_ASSERT_EQ(pending_in(dst), 0UL);
	machine_release(src);
}

static const struct claim claims[] = {
	CLAIM(plain, "no event of the source reaches a shared page in plain memory"),
	CLAIM(plain_by_address, "nor one that KVM knows by its address"),
	CLAIM(private, "nor one in private memory"),
	CLAIM(mapped_by_address, "nor one in a mapped inode"),
	CLAIM(pit, "a PIT whose interrupt is an event is silent in the source"),
};

CLAIMS_MAIN(claims);
