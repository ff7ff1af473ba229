// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS: guest time. A move is time that passed: the TSC and kvmclock
 * never go back, and are where they would be in the source.
 */
#include <time.h>

#include "claims.h"
#include "interrupts.h"
#include "runner.h"
#include "successor.h"
#include "ucall_common.h"

#include <asm/pvclock-abi.h>	/* needs the library's types */

#define MOVES		50
#define SECOND		1000000000ULL
#define MSECOND		1000000ULL

#define TSC_ADJUST	0x3b		/* the MSR */

static volatile uint64_t rounds, guest_tsc, guest_clock;	/* of the guest */

/* The library's rdtsc() has no fence. */
static uint64_t ordered_tsc(void)
{
	uint64_t tsc;

	asm volatile("lfence" : : : "memory");
	tsc = rdtsc();
	asm volatile("lfence" : : : "memory");
	return tsc;
}

static void watch_tsc(void)
{
	uint64_t tsc = ordered_tsc();

	GUEST_ASSERT(tsc >= guest_tsc);
	guest_tsc = tsc;
	rounds++;
}

static void tsc_guest(void)
{
	for (;;)
		watch_tsc();
}

static uint64_t tsc_offset(struct kvm_vcpu *vcpu)
{
	uint64_t offset;

	vcpu_device_attr_get(vcpu, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, &offset);
	return offset;
}

static struct kvm_vcpu *time_ancestor(void *guest)
{
	require_move_vcpus();
	return ancestor(KVM_X86_DEFAULT_VM, guest);
}

/* Runs a guest that goes round and round, over a chain of moves. */
static struct kvm_vcpu *carry_on(struct kvm_vcpu *vcpu)
{
	volatile uint64_t *count = GUEST_VARIABLE(vcpu->vm, rounds);
	struct runner r;
	struct ucall uc;

	for (unsigned int i = 0; i < claim_times(MOVES); i++) {
		runner_start(&r, vcpu);
		wait_for(count, *count + 3);
		if (runner_stop(&r) && get_ucall(vcpu, &uc) == UCALL_ABORT)
			REPORT_GUEST_ASSERT(uc);
		TEST_ASSERT(!r.ended, "exit reason %u", vcpu->run->exit_reason);
		vcpu = succeed(vcpu);
	}
	return vcpu;
}

static void tsc_never_goes_back(void)
{
	carry_on(time_ancestor(tsc_guest));
}

static void tell_tsc(void)
{
	for (;;)
		GUEST_SYNC(ordered_tsc());
}

/* Source, destination and host count the same ticks. */
static void expect_tsc_of_host(struct kvm_vcpu *vcpu, uint64_t offset)
{
	uint64_t before, after, said;
	struct ucall uc;

	before = ordered_tsc() + offset;
	TEST_ASSERT_EQ(run_to_ucall(vcpu, &uc), UCALL_SYNC);
	after = ordered_tsc() + offset;
	said = uc.args[1];
	TEST_ASSERT(said >= before && said <= after,
		    "the guest read %lu, not between %lu and %lu", said, before, after);
}

static void tsc_offset_is_the_same(void)
{
	struct kvm_vcpu *vcpu = time_ancestor(tell_tsc);
	uint64_t offset;

	for (unsigned int i = 0; i < claim_times(MOVES); i++) {
		if (i == claim_times(MOVES) / 2) {
			offset = -(ordered_tsc() / 2);
			vcpu_device_attr_set(vcpu, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET,
					     &offset);
		}
		offset = tsc_offset(vcpu);
		expect_tsc_of_host(vcpu, offset);
		vcpu = succeed(vcpu);
		TEST_ASSERT_EQ(tsc_offset(vcpu), offset);
		expect_tsc_of_host(vcpu, offset);
		TEST_ASSERT_EQ(tsc_offset(vcpu), offset);
	}
}

#define ADJUSTMENT	0x123456789ULL

static void tsc_adjust_guest(void)
{
	uint64_t tsc = ordered_tsc();

	wrmsr(TSC_ADJUST, ADJUSTMENT);
	GUEST_ASSERT(ordered_tsc() - tsc >= ADJUSTMENT);
	GUEST_SYNC(1);
	GUEST_ASSERT_EQ(rdmsr(TSC_ADJUST), ADJUSTMENT);
	/* It is an adjustment of the TSC, not a number beside it. */
	tsc = ordered_tsc();
	wrmsr(TSC_ADJUST, 2 * ADJUSTMENT);
	GUEST_ASSERT(ordered_tsc() - tsc >= ADJUSTMENT);
	GUEST_ASSERT(ordered_tsc() - tsc < 2 * ADJUSTMENT);
	GUEST_DONE();
}

static void tsc_adjust(void)
{
	struct kvm_vcpu *vcpu = time_ancestor(tsc_adjust_guest);
	uint64_t offset;

	run_to_sync(vcpu, 1);
	offset = tsc_offset(vcpu);
	vcpu = succeed(succeed(vcpu));
	TEST_ASSERT_EQ(vcpu_get_msr(vcpu, TSC_ADJUST), ADJUSTMENT);
	TEST_ASSERT_EQ(tsc_offset(vcpu), offset);
	run_to_done(vcpu);
}

static uint64_t host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

/*
 * The lab's processor can't scale the TSC, and KVM's other way, to catch up at
 * each entry, makes nothing of it with a master clock: what can be seen is
 * that the destination means the same rate.
 */
static void tsc_rate(void)
{
	struct kvm_vcpu *vcpu = time_ancestor(tsc_guest);
	unsigned long khz = __vcpu_ioctl(vcpu, KVM_GET_TSC_KHZ, NULL);

	if (__vcpu_ioctl(vcpu, KVM_SET_TSC_KHZ, (void *)(2 * khz)))
		claim_skip("this host has no TSC of twice its rate");
	vcpu = carry_on(vcpu);
	TEST_ASSERT_EQ(__vcpu_ioctl(vcpu, KVM_GET_TSC_KHZ, NULL), 2 * khz);
}

static struct pvclock_vcpu_time_info *pvclock;	/* where the guest has it */
static uint64_t pvclock_gpa;
static volatile uint8_t clock_flags;

static uint64_t read_clock(void)
{
	const volatile struct pvclock_vcpu_time_info *p = pvclock;
	uint64_t delta, ns;
	uint32_t version;

	do {
		version = p->version;
		asm volatile("lfence" : : : "memory");
		delta = ordered_tsc() - p->tsc_timestamp;
		delta = p->tsc_shift < 0 ? delta >> -p->tsc_shift : delta << p->tsc_shift;
		ns = p->system_time + (uint64_t)((__uint128_t)delta * p->tsc_to_system_mul >> 32);
		clock_flags = p->flags;
		asm volatile("lfence" : : : "memory");
	} while ((version & 1) || version != p->version);
	return ns;
}

static void watch_clock(void)
{
	for (;;) {
		uint64_t ns = read_clock();

		GUEST_ASSERT(ns >= guest_clock);
		guest_clock = ns;
		rounds++;
	}
}

static void clock_guest(void)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, pvclock_gpa | KVM_MSR_ENABLED);
	watch_clock();
}

static void tell_clock(void)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, pvclock_gpa | KVM_MSR_ENABLED);
	for (;;)
		GUEST_SYNC(read_clock());
}

static struct kvm_vcpu *clock_ancestor(void *guest)
{
	struct kvm_vcpu *vcpu = time_ancestor(guest);

	pvclock = (void *)vm_vaddr_alloc_page(vcpu->vm);
	pvclock_gpa = addr_gva2gpa(vcpu->vm, (vm_vaddr_t)pvclock);
	sync_global_to_guest(vcpu->vm, pvclock);
	sync_global_to_guest(vcpu->vm, pvclock_gpa);
	return vcpu;
}

static void kvmclock_never_goes_back(void)
{
	carry_on(clock_ancestor(clock_guest));
}

static uint64_t vm_clock(struct kvm_vm *vm)
{
	struct kvm_clock_data data;

	vm_ioctl(vm, KVM_GET_CLOCK, &data);
	return data.clock;
}

/* Both clocks at a moment: of some tries, the one that something else interrupted least. */
static void both_clocks(struct kvm_vm *vm, uint64_t *host, uint64_t *clock)
{
	uint64_t least = ~0ULL;

	for (int i = 0; i < 20; i++) {
		uint64_t before = host_ns(), read = vm_clock(vm), width = host_ns() - before;

		if (width >= least)
			continue;
		least = width;
		*host = before + width / 2;
		*clock = read;
	}
}

/* The VM's clock goes on as the host's does, and is what the guest reads. */
static void kvmclock_goes_on(void)
{
	struct kvm_clock_data set = { .clock = 180 * SECOND };
	struct kvm_vcpu *vcpu = clock_ancestor(tell_clock);
	uint64_t start, clock, elapsed, before, said;
	struct ucall uc;

	vm_ioctl(vcpu->vm, KVM_SET_CLOCK, &set);
	run_to_ucall(vcpu, &uc);
	both_clocks(vcpu->vm, &start, &clock);
	for (unsigned int i = 0; i < claim_times(MOVES); i++) {
		vcpu = succeed(vcpu);
		before = vm_clock(vcpu->vm);
		TEST_ASSERT_EQ(run_to_ucall(vcpu, &uc), UCALL_SYNC);
		said = uc.args[1];
		TEST_ASSERT(said + MSECOND >= before && said <= vm_clock(vcpu->vm) + MSECOND,
			    "the guest read %lu, KVM_GET_CLOCK was %lu", said, before);
	}
	both_clocks(vcpu->vm, &elapsed, &said);
	clock = said - clock;
	elapsed -= start;
	pr_info("%lu us of the host, %lu us of the guest\n", elapsed / 1000, clock / 1000);
	TEST_ASSERT(clock <= elapsed + MSECOND && clock + elapsed / 100 + MSECOND >= elapsed,
		    "%lu ns of the host, %lu ns of the guest", elapsed, clock);
}

static void tell_stopped(void)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, pvclock_gpa | KVM_MSR_ENABLED);
	read_clock();
	GUEST_SYNC(clock_flags & PVCLOCK_GUEST_STOPPED);
	read_clock();
	GUEST_SYNC(clock_flags & PVCLOCK_GUEST_STOPPED);
	GUEST_DONE();
}

static void told_that_it_was_stopped(void)
{
	struct kvm_vcpu *vcpu = clock_ancestor(tell_stopped);

	run_to_sync(vcpu, 0);
	vcpu_ioctl(vcpu, KVM_KVMCLOCK_CTRL, NULL);
	vcpu = succeed(succeed(vcpu));
	run_to_sync(vcpu, PVCLOCK_GUEST_STOPPED);
}

static const struct claim claims[] = {
	CLAIM(tsc_never_goes_back, "the TSC does not go back over 50 moves"),
	CLAIM(tsc_offset_is_the_same, "nor ahead: its offset from the host's is the same"),
	CLAIM(tsc_adjust, "IA32_TSC_ADJUST is there, and the TSC stays adjusted"),
	CLAIM(tsc_rate, "KVM_SET_TSC_KHZ of the source holds in the destination"),
	CLAIM(kvmclock_never_goes_back, "kvmclock does not go back over 50 moves"),
	CLAIM(kvmclock_goes_on, "nor ahead: it goes as the host's clock, KVM_GET_CLOCK with it"),
	CLAIM(told_that_it_was_stopped, "KVM_KVMCLOCK_CTRL of the source reaches the guest"),
};

CLAIMS_MAIN(claims);
