// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS and debuggers: one of the source leaves nothing behind in the
 * guest, one of the destination gets what it asked for before the move.
 */
#include "claims.h"
#include "runner.h"
#include "successor.h"

#define TF	(1ULL << 8)

static volatile uint64_t traps;		/* of the guest */

static void count_trap(struct ex_regs *regs)
{
	traps++;
	regs->rflags &= ~TF;
}

/* A trap of its own it has once, at the end. */
static void guest_main(void)
{
	GUEST_SYNC(1);
	asm volatile("nop; nop; nop; nop; nop; nop; nop; nop");
	GUEST_ASSERT_EQ(traps, 0);
	asm volatile("pushfq; orq $0x100, (%%rsp); popfq; out %%al, $0x80; nop; nop"
		     : : "a"(0) : "memory", "cc");
	GUEST_ASSERT_EQ(traps, 1);
	GUEST_DONE();
}

static struct kvm_vcpu *guest(void)
{
	struct kvm_vcpu *vcpu;

	require_move_vcpus();
	vcpu = ancestor(KVM_X86_DEFAULT_VM, guest_main);
	vm_install_exception_handler(vcpu->vm, 1, count_trap);
	run_to_sync(vcpu, 1);
	return vcpu;
}

static void debug(struct kvm_vcpu *vcpu, uint32_t control)
{
	struct kvm_guest_debug debug = { .control = control };

	vcpu_guest_debug_set(vcpu, &debug);
}

#define STEPS	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)

static uint64_t rflags(struct kvm_vcpu *vcpu)
{
	struct kvm_regs regs;

	vcpu_regs_get(vcpu, &regs);
	return regs.rflags;
}

static void expect_steps(struct kvm_vcpu *vcpu, int n)
{
	uint64_t before = 0;

	for (int i = 0; i < n; i++) {
		TEST_ASSERT_EQ(run_once(vcpu), 0);
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_DEBUG);
		TEST_ASSERT(vcpu->run->debug.arch.pc != before, "no step");
		before = vcpu->run->debug.arch.pc;
		TEST_ASSERT(!(rflags(vcpu) & TF), "TF is shown");
	}
}

/* The OUT leaves between the guest's TF and its trap. */
static void expect_end(struct kvm_vcpu *vcpu, bool move_at_out)
{
	TEST_ASSERT_EQ(run_once(vcpu), 0);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(vcpu->run->io.port, 0x80);
	if (move_at_out)
		vcpu = succeed(vcpu);
	run_to_done(vcpu);
}

static void source_is_stepped(void)
{
	struct kvm_vcpu *vcpu = guest();

	debug(vcpu, STEPS);
	expect_steps(vcpu, 3);
	vcpu = succeed(vcpu);
	TEST_ASSERT(!(rflags(vcpu) & TF), "the guest has the debugger's TF");
	expect_end(vcpu, false);
}

/*
 * No step leaves for a page then. Bochs 2.7 notes that a step is to trap before the instruction is
 * done: where that leaves for a page, the entry that follows traps with no step made.
 */
static void map_memory(struct kvm_vcpu *vcpu)
{
	struct userspace_mem_region *region = memslot2region(vcpu->vm, 0);
	struct kvm_pre_fault_memory range = {
		.gpa = region->region.guest_phys_addr,
		.size = region->region.memory_size,
	};

	while (range.size)
		vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range);
}

static void destination_is_stepped(void)
{
	struct kvm_vcpu *src = guest(), *dst = successor(src);

	debug(dst, STEPS);
	move_vcpus(dst->vm, src->vm);
	map_memory(dst);
	TEST_ASSERT(!(rflags(dst) & TF), "the guest is shown TF");
	expect_steps(dst, 5);
	debug(dst, 0);
	expect_end(dst, false);
}

static void both_are_stepped(void)
{
	struct kvm_vcpu *src = guest(), *dst = successor(src);

	debug(src, STEPS);
	expect_steps(src, 2);
	debug(dst, STEPS);
	move_vcpus(dst->vm, src->vm);
	map_memory(dst);
	expect_steps(dst, 3);
	dst = succeed(dst);
	expect_end(dst, false);
}

static void own_flag(void)
{
	expect_end(guest(), true);
}

static const struct claim claims[] = {
	CLAIM(source_is_stepped, "a guest that was stepped in the source is not trapped then"),
	CLAIM(destination_is_stepped, "steps that were asked for before the move are made"),
	CLAIM(both_are_stepped, "so are they where both are stepped"),
	CLAIM(own_flag, "the guest's own TF is the guest's"),
};

CLAIMS_MAIN(claims);
