// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS: several vCPUs, that interrupt each other and start each other.
 */
#include "claims.h"
#include "interrupts.h"
#include "runner.h"
#include "successor.h"
#include "ucall_common.h"

#define VECTOR		0x41
#define VCPUS		3
#define MOVES		20

/* What each of the first two vCPUs got from the other; the third counts nothing. */
static volatile uint64_t balls[2];	/* of the guest */

static void x2apic_icr(uint32_t dest, uint32_t what)
{
	x2apic_write_reg(APIC_ICR, (uint64_t)dest << 32 | what);
}

static void on_ball(struct ex_regs *regs)
{
	uint32_t me = x2apic_read_reg(APIC_ID);

	if (!in_service(regs->vector))
		return;
	balls[me]++;
	eoi();
	x2apic_icr(!me, VECTOR);
}

/* One ball is in play: it is with one of them, or on its way. */
static void receive(void)
{
	lapic_enable();
	GUEST_SYNC(1);
	for (;;)
		halt();
}

static void serve(void)
{
	lapic_enable();
	GUEST_SYNC(1);
	x2apic_icr(1, VECTOR);
	for (;;)
		halt();
}

static void ancestors(unsigned int n, struct kvm_vcpu **vcpus, void **guests)
{
	struct kvm_vm *vm;

	require_move_vcpus();
	vm = vm_create(n);
	vm_install_exception_handler(vm, VECTOR, on_ball);
	for (unsigned int i = 0; i < n; i++)
		vcpus[i] = vm_vcpu_add(vm, i, guests[i]);
}

static void succeed_all(unsigned int n, struct kvm_vcpu **vcpus)
{
	struct kvm_vm *src = vcpus[0]->vm, *dst = successor_vm(src);
	struct kvm_vcpu *heirs[VCPUS];

	/* The other way round: what counts is the id. */
	for (int i = n - 1; i >= 0; i--)
		heirs[i] = successor_vcpu(dst, vcpus[i], vcpus[i]->id);
	move_vcpus(dst, src);
	close_vm(src);
	memcpy(vcpus, heirs, n * sizeof(*vcpus));
}

static void start_all(unsigned int n, struct runner *runners, struct kvm_vcpu **vcpus)
{
	for (unsigned int i = 0; i < n; i++)
		runner_start(&runners[i], vcpus[i]);
}

static void stop_all(unsigned int n, struct runner *runners)
{
	for (unsigned int i = 0; i < n; i++)
		TEST_ASSERT(!runner_stop(&runners[i]), "vCPU %u: exit reason %u", i,
			    runners[i].vcpu->run->exit_reason);
}

static void ipis(void)
{
	void *guests[] = { serve, receive };
	struct kvm_vcpu *vcpus[2];
	struct runner runners[2];
	volatile uint64_t *count;

	ancestors(2, vcpus, guests);
	count = *GUEST_VARIABLE(vcpus[0]->vm, balls);
	run_to_sync(vcpus[1], 1);
	run_to_sync(vcpus[0], 1);

	start_all(2, runners, vcpus);
	for (int i = 0; i < MOVES; i++) {
		uint64_t seen = count[0];

		usleep(rand() % 20000);
		wait_for(&count[0], seen + 2);
		stop_all(2, runners);
		succeed_all(2, vcpus);
		start_all(2, runners, vcpus);
	}
	wait_for(&count[0], count[0] + 2);
	stop_all(2, runners);
	pr_info("%lu and %lu balls\n", count[0], count[1]);
	TEST_ASSERT(count[1] == count[0] || count[1] == count[0] + 1,
		    "%lu and %lu balls: one was lost, or came twice", count[0], count[1]);
}

#define AP_GPA		0x1000		/* the library leaves it free */
#define AP_PORT		0x77

/* What a vCPU begins with in real mode: OUT to the port, HLT. */
static void put_ap_code(struct kvm_vm *vm)
{
	const uint8_t code[] = { 0xb0, 0x5a, 0xe6, AP_PORT, 0xf4 };

	memcpy(addr_gpa2hva(vm, AP_GPA), code, sizeof(code));
}

static void start_other(void)
{
	lapic_enable();
	GUEST_SYNC(1);
	x2apic_icr(1, APIC_INT_ASSERT | APIC_DM_INIT);
	GUEST_SYNC(2);
	x2apic_icr(1, APIC_DM_STARTUP | AP_GPA >> 12);
	GUEST_DONE();
}

static void never(void)
{
	GUEST_FAIL("a vCPU that waits for SIPI runs");
}

static void expect_started(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct runner r;

	runner_start(&r, vcpu);
	runner_wait(&r);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_IO && run->io.port == AP_PORT &&
		    ((uint8_t *)run)[run->io.data_offset] == 0x5a,
		    "exit reason %u, port %#x", run->exit_reason, run->io.port);
}

static void waiting_ancestors(struct kvm_vcpu **vcpus)
{
	void *guests[] = { start_other, never };
	struct kvm_mp_state uninitialized = { .mp_state = KVM_MP_STATE_UNINITIALIZED };

	ancestors(2, vcpus, guests);
	put_ap_code(vcpus[0]->vm);
	vcpu_mp_state_set(vcpus[1], &uninitialized);
	TEST_ASSERT(!run_for(vcpus[1], 50), "a vCPU runs before SIPI");
	run_to_sync(vcpus[0], 1);
}

static void expect_mp_state(struct kvm_vcpu *vcpu, uint32_t mp_state)
{
	struct kvm_mp_state state;

	vcpu_mp_state_get(vcpu, &state);
	TEST_ASSERT_EQ(state.mp_state, mp_state);
}

static void waits_for_init(void)
{
	struct kvm_vcpu *vcpus[2];

	waiting_ancestors(vcpus);
	succeed_all(2, vcpus);
	TEST_ASSERT(!run_for(vcpus[1], 50), "a vCPU runs before INIT and SIPI");
	run_to_sync(vcpus[0], 2);
	run_to_done(vcpus[0]);
	expect_started(vcpus[1]);
}

/* Also while INIT itself has not been taken yet. */
static void waits_for_sipi(void)
{
	struct kvm_vcpu *vcpus[2];

	waiting_ancestors(vcpus);
	run_to_sync(vcpus[0], 2);
	succeed_all(2, vcpus);
	TEST_ASSERT(!run_for(vcpus[1], 50), "a vCPU runs before SIPI");
	expect_mp_state(vcpus[1], KVM_MP_STATE_INIT_RECEIVED);
	succeed_all(2, vcpus);
	expect_mp_state(vcpus[1], KVM_MP_STATE_INIT_RECEIVED);
	run_to_done(vcpus[0]);
	expect_started(vcpus[1]);
}

static void pending_sipi(void)
{
	struct kvm_vcpu *vcpus[2];

	waiting_ancestors(vcpus);
	run_to_sync(vcpus[0], 2);
	TEST_ASSERT(!run_for(vcpus[1], 50), "a vCPU runs before SIPI");
	run_to_done(vcpus[0]);
	succeed_all(2, vcpus);
	expect_started(vcpus[1]);
}

static const struct claim claims[] = {
	SLOW_CLAIM(ipis, 120, "no IPI between two vCPUs is lost, nor comes twice, over 20 moves"),
	CLAIM(waits_for_init, "a vCPU that has not been started is started after a move"),
	CLAIM(waits_for_sipi, "so is one between INIT and SIPI"),
	CLAIM(pending_sipi, "and one to which SIPI was sent before"),
};

CLAIMS_MAIN(claims);
