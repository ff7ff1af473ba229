// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS: interrupts that were raised before, during and after a move
 * reach the guest, once.
 */
#include <poll.h>
#include <sys/eventfd.h>

#include "claims.h"
#include "counting.h"
#include "machine.h"
#include "runner.h"
#include "successor.h"

#define VECTOR		COUNTED_VECTOR	/* of the first of a guest's sources of interrupts */
#define SOURCES		COUNTED
#define PIN		5	/* of the IOAPIC, edge or level */
#define MSI_GSI		30	/* no pin */
#define MOVES		50

/* Counts what an MSI of VECTOR and the edge of a pin, VECTOR + 1, bring. */
static void counting_guest(void)
{
	lapic_enable();
	ioapic_redirect(PIN, VECTOR + 1);
	GUEST_SYNC(1);
	for (;;)
		halt();
}

static void routes(struct kvm_vm *vm)
{
	struct kvm_irq_routing *routing = kvm_gsi_routing_create();

	kvm_gsi_routing_irqchip_add(routing, PIN, PIN);
	routing->entries[0].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	routing->entries[routing->nr++] = (struct kvm_irq_routing_entry){
		.gsi = MSI_GSI,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi.address_lo = APIC_DEFAULT_GPA,
		.u.msi.data = VECTOR,
	};
	kvm_gsi_routing_write(vm, routing);
}

static struct kvm_vcpu *irq_ancestor(void *guest, void (*handler)(struct ex_regs *))
{
	struct kvm_vcpu *vcpu;

	require_move_vcpus();
	vcpu = ancestor(KVM_X86_DEFAULT_VM, guest);
	handle_counted(vcpu->vm, handler);
	routes(vcpu->vm);
	run_to_sync(vcpu, 1);
	return vcpu;
}

static int __irqfd(struct kvm_vm *vm, int fd, uint32_t gsi, int resample_fd)
{
	struct kvm_irqfd irqfd = { .fd = fd, .gsi = gsi };

	if (resample_fd >= 0) {
		irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
		irqfd.resamplefd = resample_fd;
	}
	return __vm_ioctl(vm, KVM_IRQFD, &irqfd);
}

/*
 * What an eventfd has counted raises the interrupt when it becomes an irqfd, but is
 * not read by KVM: it would raise another one in the next VM.
 */
static void assign_irqfd(struct kvm_vm *vm, int fd, uint32_t gsi)
{
	eventfd_t value;

	TEST_ASSERT(!__irqfd(vm, fd, gsi, -1), "KVM_IRQFD: errno %d", errno);
	eventfd_read(fd, &value);
}

static int new_eventfd(void)
{
	return eventfd(0, EFD_NONBLOCK);
}

static void signal_eventfd(int fd)
{
	TEST_ASSERT(eventfd_write(fd, 1) == 0, "write to an eventfd: errno %d", errno);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Runs @vcpu until the guest has counted @n, and a little more. */
static void run_to_count(struct kvm_vcpu *vcpu, const volatile uint64_t *count, uint64_t n)
{
	struct runner r;

	runner_start(&r, vcpu);
	wait_for(count, n);
	usleep(50000);
	TEST_ASSERT(!runner_stop(&r), "exit reason %u", vcpu->run->exit_reason);
	TEST_ASSERT_EQ(*count, n);
}

/**
 * struct sender - a thread that raises one interrupt after the other
 * @raise: raises it; what it says was raised must reach the guest
 * @eventfd: where it is an irqfd
 * @count: what the guest counted
 * @sent: how many it raised
 * @thread: the thread
 */
struct sender {
	void (*raise)(struct sender *s);
	int eventfd;
	volatile uint64_t *count;
	uint64_t sent;
	pthread_t thread;
};

static struct kvm_vm *volatile current_vm;
static volatile bool stop_senders;

static void *sender_main(void *arg)
{
	struct sender *s = arg;

	while (!stop_senders) {
		s->raise(s);
		s->sent++;
		wait_for(s->count, s->sent);
		TEST_ASSERT_EQ(*s->count, s->sent);
		usleep(rand() % 3000);
	}
	return NULL;
}

static void raise_eventfd(struct sender *s)
{
	signal_eventfd(s->eventfd);
}

/* Dead for good: what was refused once is refused ever after. */
static void next_vm(struct kvm_vm *dead, int (*try)(struct kvm_vm *vm))
{
	TEST_ASSERT(errno == EIO, "errno %d (%s), not EIO", errno, strerror(errno));
	while (current_vm == dead)
		usleep(100);
	TEST_ERRNO(try(dead), EIO);
}

static void raise_ioctl(int (*try)(struct kvm_vm *vm))
{
	for (;;) {
		struct kvm_vm *vm = current_vm;

		if (try(vm) >= 0)
			return;
		next_vm(vm, try);
	}
}

static void raise_msi(struct sender *s)
{
	(void)s;
	raise_ioctl(signal_msi);
}

static int line_up(struct kvm_vm *vm)
{
	return _kvm_irq_line(vm, PIN, 1);
}

static int line_down(struct kvm_vm *vm)
{
	return _kvm_irq_line(vm, PIN, 0);
}

static void raise_line(struct sender *s)
{
	(void)s;
	raise_ioctl(line_up);
	raise_ioctl(line_down);
}

/*
 * A chain of moves while the senders send. The sources stay open, for a sender
 * may be about to use them; their irqfds stay assigned.
 */
static void move_while_sending(struct sender *senders, void (*moved)(struct kvm_vm *dst))
{
	struct kvm_vcpu *vcpu = irq_ancestor(counting_guest, count_interrupt);
	struct runner r;

	current_vm = vcpu->vm;
	moved(vcpu->vm);
	for (int i = 0; i < SOURCES; i++) {
		senders[i].count = &(*GUEST_VARIABLE(vcpu->vm, interrupt_counts))[i];
		TEST_ASSERT(!pthread_create(&senders[i].thread, NULL, sender_main, &senders[i]),
			    "pthread_create");
	}

	runner_start(&r, vcpu);
	for (unsigned int i = 0; i < claim_times(MOVES); i++) {
		struct kvm_vcpu *dst = successor(vcpu);

		routes(dst->vm);
		usleep(rand() % 20000);
		TEST_ASSERT(!runner_stop(&r), "exit reason %u", vcpu->run->exit_reason);
		usleep(rand() % 2000);
		move_vcpus(dst->vm, vcpu->vm);
		vcpu = dst;
		current_vm = vcpu->vm;
		moved(vcpu->vm);
		runner_start(&r, vcpu);
	}

	stop_senders = true;
	for (int i = 0; i < SOURCES; i++)
		pthread_join(senders[i].thread, NULL);
	usleep(100000);
	TEST_ASSERT(!runner_stop(&r), "exit reason %u", vcpu->run->exit_reason);
	for (int i = 0; i < SOURCES; i++) {
		pr_info("%lu sent\n", senders[i].sent);
		TEST_ASSERT(senders[i].sent >= claim_times(MOVES), "%lu sent", senders[i].sent);
		TEST_ASSERT_EQ(*senders[i].count, senders[i].sent);
	}
}

static struct sender fd_senders[SOURCES] = {
	{ .raise = raise_eventfd },
	{ .raise = raise_eventfd },
};

static void assign_eventfds(struct kvm_vm *vm)
{
	assign_irqfd(vm, fd_senders[0].eventfd, MSI_GSI);
	assign_irqfd(vm, fd_senders[1].eventfd, PIN);
}

static void irqfds_in_a_chain(void)
{
	for (int i = 0; i < SOURCES; i++)
		fd_senders[i].eventfd = new_eventfd();
	move_while_sending(fd_senders, assign_eventfds);
}

static void no_irqfds(struct kvm_vm *vm)
{
	(void)vm;
}

static void ioctls_in_a_chain(void)
{
	struct sender senders[SOURCES] = {
		{ .raise = raise_msi },
		{ .raise = raise_line },
	};

	move_while_sending(senders, no_irqfds);
}

/* What a dead VM's irqfd does not take is there for the next who asks. */
static void source_irqfds_are_silent(void)
{
	struct kvm_vcpu *src = irq_ancestor(counting_guest, count_interrupt);
	struct kvm_vcpu *dst = successor(src);
	volatile uint64_t *count = *GUEST_VARIABLE(src->vm, interrupt_counts);
	int fd = new_eventfd();

	routes(dst->vm);
	assign_irqfd(src->vm, fd, MSI_GSI);
	signal_eventfd(fd);
	run_to_count(src, count, 1);

	move_vcpus(dst->vm, src->vm);
	signal_eventfd(fd);
	run_for(dst, 100);
	TEST_ASSERT_EQ(count[0], 1UL);
	TEST_ASSERT(readable(fd), "a dead VM has read the eventfd");
	TEST_ERRNO(__irqfd(src->vm, new_eventfd(), MSI_GSI, -1), EIO);
	TEST_ERRNO(signal_msi(src->vm), EIO);
	TEST_ERRNO(line_up(src->vm), EIO);

	assign_irqfd(dst->vm, fd, MSI_GSI);
	run_to_count(dst, count, 2);
}

static uint32_t mp_state(struct kvm_vcpu *vcpu)
{
	struct kvm_mp_state state;

	vcpu_mp_state_get(vcpu, &state);
	return state.mp_state;
}

static void run_to_halt(struct kvm_vcpu *vcpu)
{
	do {
		TEST_ASSERT(!run_for(vcpu, 50), "exit reason %u", vcpu->run->exit_reason);
	} while (mp_state(vcpu) != KVM_MP_STATE_HALTED);
}

static void halted_vcpu_wakes(void)
{
	struct kvm_vcpu *vcpu = irq_ancestor(counting_guest, count_interrupt);
	volatile uint64_t *count = *GUEST_VARIABLE(vcpu->vm, interrupt_counts);
	struct runner r;

	run_to_halt(vcpu);
	vcpu = succeed(vcpu);
	TEST_ASSERT_EQ(mp_state(vcpu), KVM_MP_STATE_HALTED);

	runner_start(&r, vcpu);
	runner_sleeps(&r, IN_HALT);
	TEST_ASSERT_EQ(*count, 0UL);
	TEST_ASSERT_EQ(signal_msi(vcpu->vm), 1);
	wait_for(count, 1UL);
	TEST_ASSERT(!runner_stop(&r), "exit reason %u", vcpu->run->exit_reason);
}

static void pending_interrupt(void)
{
	struct kvm_vcpu *vcpu = irq_ancestor(counting_guest, count_interrupt);
	volatile uint64_t *count = *GUEST_VARIABLE(vcpu->vm, interrupt_counts);

	run_to_halt(vcpu);
	TEST_ASSERT_EQ(signal_msi(vcpu->vm), 1);
	TEST_ASSERT_EQ(*count, 0UL);
	vcpu = succeed(succeed(vcpu));
	run_to_count(vcpu, count, 1);
}

/* Tells the host from inside the handler, before it is the LAPIC's turn again. */
static void tell_interrupt(struct ex_regs *regs)
{
	if (!in_service(regs->vector))
		return;
	GUEST_SYNC(100 + ++interrupt_counts[regs->vector - VECTOR]);
	eoi();
}

static void level_guest(void)
{
	lapic_enable();
	ioapic_redirect(PIN, IOAPIC_LEVEL | VECTOR);
	GUEST_SYNC(1);
	for (;;)
		halt();
}

static struct kvm_ioapic_state ioapic(struct kvm_vm *vm)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	vm_ioctl(vm, KVM_GET_IRQCHIP, &chip);
	return chip.chip.ioapic;
}

static struct kvm_vcpu *succeed_with_routes(struct kvm_vcpu *src)
{
	struct kvm_vcpu *dst = successor(src);

	routes(dst->vm);
	move_vcpus(dst->vm, src->vm);
	close_vm(src->vm);
	return dst;
}

/* In service, with the line up: again after the EOI, and no more once it is down. */
static void level_in_service(void)
{
	struct kvm_vcpu *vcpu = irq_ancestor(level_guest, tell_interrupt);

	kvm_irq_line(vcpu->vm, PIN, 1);
	run_to_sync(vcpu, 101);
	TEST_ASSERT(ioapic(vcpu->vm).redirtbl[PIN].fields.remote_irr, "no remote IRR");

	vcpu = succeed_with_routes(vcpu);
	TEST_ASSERT(ioapic(vcpu->vm).redirtbl[PIN].fields.remote_irr, "remote IRR is lost");
	run_to_sync(vcpu, 102);
	vcpu = succeed_with_routes(vcpu);
	kvm_irq_line(vcpu->vm, PIN, 0);
	TEST_ASSERT(!run_for(vcpu, 200), "an interrupt for a line that is down");
	TEST_ASSERT(!ioapic(vcpu->vm).redirtbl[PIN].fields.remote_irr, "remote IRR stays");

	vcpu = succeed_with_routes(vcpu);
	kvm_irq_line(vcpu->vm, PIN, 1);
	run_to_sync(vcpu, 103);
}

/* An edge is one only if the line was down before, also in another VM. */
static void edge_line_that_is_up(void)
{
	struct kvm_vcpu *vcpu = irq_ancestor(counting_guest, count_interrupt);
	volatile uint64_t *count = &(*GUEST_VARIABLE(vcpu->vm, interrupt_counts))[1];

	kvm_irq_line(vcpu->vm, PIN, 1);
	run_to_count(vcpu, count, 1);

	vcpu = succeed_with_routes(succeed_with_routes(vcpu));
	kvm_irq_line(vcpu->vm, PIN, 1);
	run_for(vcpu, 100);
	TEST_ASSERT_EQ(*count, 1UL);

	kvm_irq_line(vcpu->vm, PIN, 0);
	kvm_irq_line(vcpu->vm, PIN, 1);
	run_to_count(vcpu, count, 2);
}

static void masked_level_guest(void)
{
	lapic_enable();
	ioapic_redirect(PIN, IOAPIC_MASKED | IOAPIC_LEVEL | VECTOR);
	GUEST_SYNC(1);
	ioapic_redirect(PIN, IOAPIC_LEVEL | VECTOR);
	for (;;)
		halt();
}

/* Without an exit; and reads it. */
static void run_to_eventfd(struct kvm_vcpu *vcpu, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	eventfd_t value;
	struct runner r;

	runner_start(&r, vcpu);
	TEST_ASSERT(poll(&p, 1, claim_patience() * 1000) == 1, "the eventfd is not signalled");
	TEST_ASSERT(!runner_stop(&r), "exit reason %u", vcpu->run->exit_reason);
	eventfd_read(fd, &value);
}

/*
 * A device has its line up, and waits to be told when it is to look again. The
 * IOAPIC asks it to when the guest unmasks the pin, and at the EOI.
 */
static void resampled_line(void)
{
	struct kvm_vcpu *vcpu = irq_ancestor(masked_level_guest, tell_interrupt);
	int line = new_eventfd(), resample = new_eventfd();

	TEST_ASSERT(!__irqfd(vcpu->vm, line, PIN, resample), "KVM_IRQFD: errno %d", errno);
	signal_eventfd(line);
	while (!(ioapic(vcpu->vm).irr & (1 << PIN)))
		usleep(1000);

	vcpu = succeed_with_routes(vcpu);
	TEST_ASSERT(ioapic(vcpu->vm).irr & (1 << PIN), "the line went down");
	TEST_ASSERT(!readable(resample), "asked before the pin is unmasked");
	TEST_ASSERT(!__irqfd(vcpu->vm, line, PIN, resample), "KVM_IRQFD: errno %d", errno);
	run_to_eventfd(vcpu, resample);

	signal_eventfd(line);
	run_to_sync(vcpu, 101);
	TEST_ASSERT(!readable(resample), "asked before the EOI");
	run_to_eventfd(vcpu, resample);
	TEST_ASSERT(!run_for(vcpu, 200), "an interrupt for a line that is down");
}

#define PIC_VECTOR	0x30
#define PIC_IRQ		4

static void pic_write(uint16_t port, uint8_t vector, uint8_t cascade)
{
	outb(port, 0x11);
	outb(port + 1, vector);
	outb(port + 1, cascade);
	outb(port + 1, 0x01);
}

static volatile uint64_t pic_count;	/* of the guest */

static void pic_interrupt(struct ex_regs *regs)
{
	GUEST_ASSERT_EQ(regs->vector, PIC_VECTOR + PIC_IRQ);
	outb(0x20, 0x0b);
	if (!(inb(0x20) & (1 << PIC_IRQ)))
		return;		/* see in_service() */
	GUEST_SYNC(100 + ++pic_count);
	outb(0x20, 0x20);
}

static void pic_guest(void)
{
	lapic_enable();
	x2apic_write_reg(APIC_LVT0, APIC_DM_EXTINT);
	pic_write(0x20, PIC_VECTOR, 4);
	pic_write(0xa0, PIC_VECTOR + 8, 2);
	outb(0x21, 0xff & ~(1 << PIC_IRQ));
	GUEST_SYNC(1);
	for (;;)
		halt();
}

/* The 8259 behind LVT0: one that waits, then one that waits behind one in service. */
static void pic(void)
{
	struct kvm_vcpu *vcpu;

	require_move_vcpus();
	vcpu = ancestor(KVM_X86_DEFAULT_VM, pic_guest);
	vm_install_exception_handler(vcpu->vm, PIC_VECTOR + PIC_IRQ, pic_interrupt);
	run_to_sync(vcpu, 1);

	kvm_irq_line(vcpu->vm, PIC_IRQ, 1);
	vcpu = succeed(vcpu);
	run_to_sync(vcpu, 101);
	kvm_irq_line(vcpu->vm, PIC_IRQ, 0);
	kvm_irq_line(vcpu->vm, PIC_IRQ, 1);
	vcpu = succeed(vcpu);
	run_to_sync(vcpu, 102);
	vcpu = succeed(vcpu);
	TEST_ASSERT(!run_for(vcpu, 200), "an edge came twice");
}

static volatile uint64_t nmis;		/* of the guest */

static void nmi(struct ex_regs *regs)
{
	(void)regs;
	GUEST_SYNC(100 + ++nmis);
}

static void nmi_guest(void)
{
	GUEST_SYNC(1);
	for (;;)
		halt();
}

/* One that waits, then one that is masked by one that is handled. */
static void pending_nmi(void)
{
	struct kvm_vcpu *vcpu;

	require_move_vcpus();
	vcpu = ancestor(KVM_X86_DEFAULT_VM, nmi_guest);
	vm_install_exception_handler(vcpu->vm, NMI_VECTOR, nmi);
	run_to_sync(vcpu, 1);

	vcpu_ioctl(vcpu, KVM_NMI, NULL);
	vcpu = succeed(vcpu);
	run_to_sync(vcpu, 101);
	vcpu_ioctl(vcpu, KVM_NMI, NULL);
	vcpu = succeed(succeed(vcpu));
	run_to_sync(vcpu, 102);
	vcpu = succeed(vcpu);
	TEST_ASSERT(!run_for(vcpu, 200), "an NMI came twice");
}

static const struct claim claims[] = {
	SLOW_CLAIM(irqfds_in_a_chain, 200,
		   "no signal of an irqfd is lost, nor comes twice, over 50 moves"),
	SLOW_CLAIM(ioctls_in_a_chain, 200,
		   "what KVM_SIGNAL_MSI and KVM_IRQ_LINE raise, too, or they say EIO"),
	CLAIM(source_irqfds_are_silent,
	      "the source's irqfds leave signals to the destination's, new ones are EIO"),
	CLAIM(halted_vcpu_wakes, "a vCPU that is in HLT is in HLT, and an interrupt wakes it"),
	CLAIM(pending_interrupt, "an interrupt that a vCPU had no time to take is taken"),
	CLAIM(level_in_service, "a level-triggered line is up, with remote IRR, until it is down"),
	CLAIM(edge_line_that_is_up, "a line that is up makes no edge by being put up again"),
	CLAIM(resampled_line, "a line that an irqfd with resampling has put up stays up"),
	CLAIM(pic, "the 8259: an edge that waits, and one that waits behind one in service"),
	CLAIM(pending_nmi, "an NMI that waits, and one that waits behind one"),
};

CLAIMS_MAIN(claims);
