// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ioctls that raise interrupts, while a move looks whether one is at it: later ones are held up
 * until it has given up, or moved.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "claims.h"
#include "mapped.h"
#include "moving.h"
#include "paging.h"
#include "private.h"
#include "xenevents.h"

#define SHARED_PAGE	3
#define VCPU_PAGE	4
#define PORT		70
#define HELD_UP		"kvm_move_begin_irq"

static struct machine *src, *dst;
static int pager;
static volatile bool stop;

/* An event's page is mapped, at an address that KVM knows, and owed. */
static void begin(void)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
		.u.gpa = page_gpa(VCPU_PAGE),
	};

	require_move();
	require_pager();
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	src = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGING_PAGES, MMAP_SHARED);
	xen_configure(src->vm);
	xen_shared_page_at(src->vm, host_page(src, SHARED_PAGE));
	vcpu_ioctl(src->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
	xen_route(src->vm, XEN_GSI, PORT);
	dst = mapped_link(KVM_X86_SW_PROTECTED_VM, src->view, PAGING_PAGES);
	punch_pages(src->view, SHARED_PAGE, 1);
	pager = __pager(src->view, SHARED_PAGE, 1, 0);
	TEST_ASSERT(pager >= 0, "KVM_GMEM_CREATE_PAGER: errno %d", errno);
}

/* It waits for the page, in a host fault. */
static void *raise_line(void *arg)
{
	struct kvm_irq_level line = { .irq = XEN_GSI, .level = 1 };

	vm_ioctl(src->vm, KVM_IRQ_LINE, &line);
	return arg;
}

static struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
static struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x41 };

/* An ioctl again and again, and what it returned at last. */
struct raiser {
	const char *name;
	unsigned long request;
	void *arg;
	pthread_t thread;
	volatile pid_t tid;
	int err;
};

static void *raise_on(void *arg)
{
	struct raiser *r = arg;

	r->tid = syscall(SYS_gettid);
	do
		r->err = ioctl(src->vm->fd, r->request, r->arg) < 0 ? errno : 0;
	while (!r->err && !stop);
	return NULL;
}

static void *move_on(void *arg)
{
	while (!stop)
		TEST_ERRNO(__move(dst->vm, src->vm->fd), EBUSY);
	return arg;
}

static void held_up(struct raiser *r)
{
	pthread_t line, mover;
	double until = 0;

	begin();
	vm_ioctl(src->vm, KVM_GET_IRQCHIP, &chip);
	pthread_create(&line, NULL, raise_line, NULL);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, SHARED_PAGE, 1);
	pthread_create(&mover, NULL, move_on, NULL);
	pthread_create(&r->thread, NULL, raise_on, r);
	while (!r->tid || !is_asleep(r->tid, HELD_UP))
		TEST_ASSERT(claim_is_patient(&until), "%s is not held up", r->name);
	stop = true;
	pthread_join(mover, NULL);
	pthread_join(r->thread, NULL);
	TEST_ASSERT(!r->err, "%s: errno %d, though the VM was not moved", r->name, r->err);

	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, SHARED_PAGE, 1, NULL), 0);
	pthread_join(line, NULL);
	move(dst, src);
	TEST_ERRNO(ioctl(src->vm->fd, r->request, r->arg), EIO);
}

static void set_irqchip(void)
{
	held_up(&(struct raiser){ "KVM_SET_IRQCHIP", KVM_SET_IRQCHIP, &chip });
}

static void signal_msi(void)
{
	held_up(&(struct raiser){ "KVM_SIGNAL_MSI", KVM_SIGNAL_MSI, &msi });
}

static const struct claim claims[] = {
	CLAIM(set_irqchip, "KVM_SET_IRQCHIP is held up while a move waits for interrupts"),
	CLAIM(signal_msi, "so is KVM_SIGNAL_MSI"),
};

CLAIMS_MAIN(claims);
