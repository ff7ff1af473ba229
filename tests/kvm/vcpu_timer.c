// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS: timers that are armed go on, at the same rate and in the same
 * phase; none is lost, none fires again. Their guests wait in HLT most of the
 * time, so that a vCPU that sleeps in the source wakes in the destination.
 */
#include "claims.h"
#include "interrupts.h"
#include "runner.h"
#include "successor.h"
#include "ucall_common.h"

#define VECTOR		0x41
#define SECOND		1000000000ULL
#define STEP_MS		200		/* that a guest runs between two moves */

static volatile uint64_t armed_at, deadline, fired, fired_at;	/* of the guest */

static void on_timer(struct ex_regs *regs)
{
	if (!in_service(regs->vector))
		return;
	fired_at = rdtsc();
	fired++;
	eoi();
}

/* With divisor 1 a LAPIC timer of KVM counts nanoseconds. */
static void arm_lapic_timer(uint32_t mode, uint32_t ns)
{
	x2apic_write_reg(APIC_TDCR, 0xb);
	x2apic_write_reg(APIC_LVTT, mode | VECTOR);
	armed_at = rdtsc();
	x2apic_write_reg(APIC_TMICT, ns);
}

static void takes_until(uint64_t tsc)
{
	while (rdtsc() < tsc)
		take_interrupts();
}

/* Two more periods for a second shot to come. */
static void expect_one_shot(void)
{
	GUEST_SYNC(1);
	while (!fired)
		halt();
	takes_until(rdtsc() + ns_tsc(2 * SECOND));
	GUEST_ASSERT_EQ(fired, 1);
	GUEST_DONE();
}

static void one_shot_guest(void)
{
	lapic_enable();
	arm_lapic_timer(APIC_LVT_TIMER_ONESHOT, SECOND);
	expect_one_shot();
}

static struct kvm_vcpu *timer_ancestor(void *guest)
{
	struct kvm_vcpu *vcpu;

	require_move_vcpus();
	vcpu = ancestor(KVM_X86_DEFAULT_VM, guest);
	vm_install_exception_handler(vcpu->vm, VECTOR, on_timer);
	return vcpu;
}

static uint64_t host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

/* How long a step and a move have taken at most, since step_done() was called first. */
static uint64_t step_begun, longest_step;

static void step_done(void)
{
	uint64_t now = host_ns();

	if (step_begun && now - step_begun > longest_step)
		longest_step = now - step_begun;
	step_begun = now;
}

/*
 * A timer that began anew with each move would fire a second after the last. One that does
 * not may be late by the step in which it is due, on a busy machine.
 */
static void expect_in_time(struct kvm_vm *vm, uint64_t armed)
{
	uint64_t ns = tsc_ns(*GUEST_VARIABLE(vm, fired_at) - armed);

	pr_info("fired after %lu us, the longest step took %lu us\n", ns / 1000,
		longest_step / 1000);
	TEST_ASSERT(ns > SECOND - SECOND / 50 && ns < 3 * SECOND / 2 + longest_step,
		    "a timer of 1 s fired after %lu us", ns / 1000);
}

static void one_shot(void)
{
	struct kvm_vcpu *vcpu = timer_ancestor(one_shot_guest);

	run_to_sync(vcpu, 1);
	for (step_done(); !run_for(vcpu, STEP_MS); step_done())
		vcpu = succeed(vcpu);
	expect_done(vcpu);
	expect_in_time(vcpu->vm, *GUEST_VARIABLE(vcpu->vm, armed_at));
}

/* The shot is neither in the source's timer nor in its registers any more. */
static void one_shot_expires_in_a_source_that_stands(void)
{
	struct kvm_vcpu *vcpu = timer_ancestor(one_shot_guest);

	run_to_sync(vcpu, 1);
	sleep(2);
	TEST_ASSERT_EQ(*GUEST_VARIABLE(vcpu->vm, fired), 0);
	vcpu = succeed(succeed(vcpu));
	run_to_done(vcpu);
}

static void one_shot_expires_before_the_destination_runs(void)
{
	struct kvm_vcpu *vcpu = timer_ancestor(one_shot_guest);

	run_to_sync(vcpu, 1);
	vcpu = succeed(vcpu);
	sleep(2);
	TEST_ASSERT_EQ(*GUEST_VARIABLE(vcpu->vm, fired), 0);
	vcpu = succeed(vcpu);
	run_to_done(vcpu);
}

static void deadline_guest(void)
{
	lapic_enable();
	x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | VECTOR);
	armed_at = rdtsc();
	deadline = armed_at + ns_tsc(SECOND);
	wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
	GUEST_SYNC(1);
	while (!fired)
		halt();
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	GUEST_ASSERT(fired_at >= deadline);
	takes_until(rdtsc() + ns_tsc(SECOND));
	GUEST_ASSERT_EQ(fired, 1);
	GUEST_DONE();
}

static void tsc_deadline(void)
{
	struct kvm_vcpu *vcpu = timer_ancestor(deadline_guest);
	uint64_t told, due;

	vcpu_set_cpuid_feature(vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);
	run_to_sync(vcpu, 1);
	due = *GUEST_VARIABLE(vcpu->vm, deadline);
	for (step_done(); !run_for(vcpu, STEP_MS); step_done()) {
		vcpu = succeed(vcpu);
		told = vcpu_get_msr(vcpu, MSR_IA32_TSC_DEADLINE);
		TEST_ASSERT(told == due || !told, "deadline %lu, not %lu", told, due);
	}
	expect_done(vcpu);
	expect_in_time(vcpu->vm, *GUEST_VARIABLE(vcpu->vm, armed_at));
}

/*
 * The phase of a periodic timer: when it will fire next, modulo its period. It is
 * read from the counter, between two readings of the TSC, whose distance is
 * how exact it is. After each tick the guest notes the best of some.
 */
struct phase {
	uint64_t ns;
	uint64_t width;
};

#define PERIOD		100000000ULL
#define PHASES		40
#define READINGS	10

static struct phase phases[PHASES];	/* of the guest */

static struct phase read_phase(uint64_t (*ns_left)(void), uint64_t period)
{
	struct phase best = { .width = ~0ULL };

	for (int i = 0; i < READINGS;) {
		uint64_t before = rdtsc(), left = ns_left(), after = rdtsc();

		if (!left)	/* it has run out, and KVM's timer is late */
			continue;
		i++;
		if (after - before >= best.width)
			continue;
		best.ns = (tsc_ns(before) + left) % period;
		best.width = after - before;
	}
	best.width = tsc_ns(best.width);
	return best;
}

static void note_phases(uint64_t (*ns_left)(void), uint64_t period)
{
	uint64_t seen = 0;

	for (int i = 0; i < PHASES; i++) {
		while (fired == seen)
			halt();
		seen = fired;
		phases[i] = read_phase(ns_left, period);
	}
}

static uint64_t lapic_ns_left(void)
{
	return x2apic_read_reg(APIC_TMCCT);
}

static void periodic_guest(void)
{
	lapic_enable();
	arm_lapic_timer(APIC_LVT_TIMER_PERIODIC, PERIOD);
	GUEST_SYNC(1);
	note_phases(lapic_ns_left, PERIOD);
	x2apic_write_reg(APIC_TMICT, 0);
	GUEST_DONE();
}

/* How far two points on a circle are apart. */
static uint64_t apart(uint64_t a, uint64_t b, uint64_t circle)
{
	uint64_t d = a > b ? a - b : b - a;

	return d < circle - d ? d : circle - d;
}

/* The TSC's rate is known to the lab to some hundred parts in a million. */
static void expect_one_phase(struct kvm_vm *vm, uint64_t period)
{
	const struct phase *p = *GUEST_VARIABLE(vm, phases);
	uint64_t worst = 0;

	for (int i = 1; i < PHASES; i++) {
		uint64_t d = apart(p[i].ns, p[0].ns, period);

		TEST_ASSERT(d <= p[i].width + p[0].width + period / 50,
			    "tick %d: %lu us off, +- %lu us", i, d / 1000,
			    (p[i].width + p[0].width) / 1000);
		if (d > worst)
			worst = d;
	}
	pr_info("at most %lu us off\n", worst / 1000);
}

/* More ticks than periods would be a tick that came twice. */
static void expect_ticks_at_most(struct kvm_vm *vm, uint64_t period)
{
	uint64_t ns = tsc_ns(*GUEST_VARIABLE(vm, fired_at) - *GUEST_VARIABLE(vm, armed_at));
	uint64_t ticks = *GUEST_VARIABLE(vm, fired);

	TEST_ASSERT(ticks <= ns / period + 1, "%lu ticks in %lu us", ticks, ns / 1000);
}

static void periodic(void)
{
	struct kvm_vcpu *vcpu = timer_ancestor(periodic_guest);
	int moves = 0;

	run_to_sync(vcpu, 1);
	for (; !run_for(vcpu, STEP_MS); moves++)
		vcpu = succeed(vcpu);
	expect_done(vcpu);
	TEST_ASSERT(moves >= 5, "%d moves", moves);
	expect_one_phase(vcpu->vm, PERIOD);
	expect_ticks_at_most(vcpu->vm, PERIOD);
}

#define PIT_COUNT	59659		/* of 1193182 Hz: 50 ms */
#define PIT_PERIOD	(PIT_COUNT * SECOND / 1193182)

static void arm_pit(void)
{
	ioapic_redirect(0, VECTOR);
	outb(0x43, 0x34);		/* channel 0, low and high byte, mode 2 */
	outb(0x40, PIT_COUNT & 0xff);
	armed_at = rdtsc();
	outb(0x40, PIT_COUNT >> 8);
}

static uint64_t pit_ns_left(void)
{
	uint16_t count;

	outb(0x43, 0x00);		/* latch channel 0 */
	count = inb(0x40);
	count |= inb(0x40) << 8;
	return count * SECOND / 1193182;
}

static void pit_guest(void)
{
	lapic_enable();
	arm_pit();
	GUEST_SYNC(1);
	note_phases(pit_ns_left, PIT_PERIOD);
	GUEST_DONE();
}

static void pit_ticks_guest(void)
{
	lapic_enable();
	arm_pit();
	GUEST_SYNC(1);
	for (;;)
		halt();
}

static void create_pit(struct kvm_vm *vm)
{
	struct kvm_pit_config config = { };

	vm_ioctl(vm, KVM_CREATE_PIT2, &config);
}

static struct kvm_vcpu *pit_ancestor(void *guest, bool reinject)
{
	struct kvm_reinject_control control = { .pit_reinject = reinject };
	struct kvm_vcpu *vcpu = timer_ancestor(guest);

	map_ioapic(vcpu->vm);
	create_pit(vcpu->vm);
	vm_ioctl(vcpu->vm, KVM_REINJECT_CONTROL, &control);
	return vcpu;
}

static struct kvm_vcpu *succeed_with_pit(struct kvm_vcpu *src)
{
	struct kvm_vcpu *dst = successor(src);

	create_pit(dst->vm);
	move_vcpus(dst->vm, src->vm);
	close_vm(src->vm);
	return dst;
}

static void pit(void)
{
	struct kvm_vcpu *vcpu = pit_ancestor(pit_guest, true);
	int moves = 0;

	run_to_sync(vcpu, 1);
	for (; !run_for(vcpu, STEP_MS); moves++)
		vcpu = succeed_with_pit(vcpu);
	expect_done(vcpu);
	TEST_ASSERT(moves >= 3, "%d moves", moves);
	expect_one_phase(vcpu->vm, PIT_PERIOD);
	expect_ticks_at_most(vcpu->vm, PIT_PERIOD);
}

/*
 * Ticks of a second in which the vCPU does not run, half before and half after a
 * move, that it gets when it runs again: until it has got @enough, or for some
 * seconds.
 */
static uint64_t ticks_made_up_for(bool reinject, uint64_t enough)
{
	struct kvm_vcpu *vcpu = pit_ancestor(pit_ticks_guest, reinject);
	volatile uint64_t *ticks = GUEST_VARIABLE(vcpu->vm, fired);
	uint64_t seen, start, in_time, made_up = 0;

	run_to_sync(vcpu, 1);
	vcpu = succeed_with_pit(vcpu);
	while (!*ticks)
		run_for(vcpu, STEP_MS);
	seen = *ticks;

	usleep(500000);
	vcpu = succeed_with_pit(vcpu);
	usleep(500000);
	start = host_ns();
	for (int i = 0; i < 5 && made_up < enough; i++) {
		run_for(vcpu, 1000);
		in_time = (host_ns() - start) / PIT_PERIOD + 2;
		made_up = *ticks - seen > in_time ? *ticks - seen - in_time : 0;
	}
	return made_up;
}

static void pit_reinjection(void)
{
	const uint64_t enough = SECOND / PIT_PERIOD - 5;
	uint64_t ticks = ticks_made_up_for(true, enough);

	TEST_ASSERT(ticks >= enough, "%lu ticks made up for", ticks);
}

static void pit_without_reinjection(void)
{
	TEST_ASSERT_EQ(ticks_made_up_for(false, 1), 0UL);
}

#define SPEAKER_PORT	0x61
#define SPEAKER_ON	3	/* the gate of channel 2, and its output to the speaker */

/* Turns it on, and off again later; tells what the port says each time. */
static void speaker_guest(void)
{
	outb(SPEAKER_PORT, SPEAKER_ON);
	GUEST_SYNC(1);
	GUEST_ASSERT_EQ(inb(SPEAKER_PORT) & SPEAKER_ON, SPEAKER_ON);
	outb(SPEAKER_PORT, 0);
	GUEST_SYNC(2);
	GUEST_ASSERT_EQ(inb(SPEAKER_PORT) & SPEAKER_ON, 0);
	GUEST_DONE();
}

static struct kvm_vcpu *succeed_with_speaker(struct kvm_vcpu *src, bool on)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct kvm_vcpu *dst = successor(src);
	struct kvm_pit_state2 state;

	vm_ioctl(dst->vm, KVM_CREATE_PIT2, &config);
	move_vcpus(dst->vm, src->vm);
	close_vm(src->vm);
	vm_ioctl(dst->vm, KVM_GET_PIT2, &state);
	TEST_ASSERT_EQ(!!(state.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON), on);
	return dst;
}

static void pit_speaker(void)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct kvm_vcpu *vcpu;

	require_move_vcpus();
	vcpu = ancestor(KVM_X86_DEFAULT_VM, speaker_guest);
	vm_ioctl(vcpu->vm, KVM_CREATE_PIT2, &config);
	vcpu = succeed_with_speaker(vcpu, false);
	run_to_sync(vcpu, 1);
	vcpu = succeed_with_speaker(succeed_with_speaker(vcpu, true), true);
	run_to_sync(vcpu, 2);
	vcpu = succeed_with_speaker(vcpu, false);
	run_to_done(vcpu);
}

static const struct claim claims[] = {
	CLAIM(one_shot, "a LAPIC timer fires once, in time, moved before and after"),
	CLAIM(one_shot_expires_in_a_source_that_stands,
	      "one that expired in a vCPU that did not run fires in the destination, once"),
	CLAIM(one_shot_expires_before_the_destination_runs,
	      "so does one that expires before the destination runs"),
	CLAIM(tsc_deadline, "a TSC deadline is the same, and fires once, not before it"),
	CLAIM(periodic, "a periodic LAPIC timer goes on in its phase, no tick comes twice"),
	CLAIM(pit, "so does the PIT"),
	CLAIM(pit_reinjection, "the PIT makes up for ticks before and after a move"),
	CLAIM(pit_without_reinjection, "and not where the source's VMM did not want it"),
	CLAIM(pit_speaker, "the speaker is on or off, as it was"),
};

CLAIMS_MAIN(claims);
