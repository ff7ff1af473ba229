// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS in the middle of an exit to userspace, which goes along.
 */
#include "claims.h"
#include "machine.h"
#include "registers.h"
#include "successor.h"

#define PORT		0x77
#define MMIO_GPA	0xd0000000ULL

static void registers(void)
{
	GUEST_ASSERT_EQ(registers_over_in(PORT, 1, 1), 0xfeedbeef);
	GUEST_DONE();
}

static uint8_t *pio_data(struct kvm_vcpu *vcpu)
{
	return (uint8_t *)vcpu->run + vcpu->run->io.data_offset;
}

static void expect_io(struct kvm_vcpu *vcpu, unsigned int direction, unsigned int size)
{
	struct kvm_run *run = vcpu->run;
	struct ucall uc;

	if (run->exit_reason == KVM_EXIT_IO && run->io.port != PORT &&
	    get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_IO && run->io.port == PORT &&
		    run->io.direction == direction && run->io.size == size,
		    "exit reason %u, port %#x", run->exit_reason, run->io.port);
}

/* The exit goes along: who has the destination answers it. */
static void registers_and_a_read_in_flight(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct kvm_vcpu *vcpu = ancestor(type, registers);

		TEST_ASSERT_EQ(run_once(vcpu), 0);
		expect_io(vcpu, KVM_EXIT_IO_IN, 4);
		*(uint32_t *)pio_data(vcpu) = 0xdeaddead;
		vcpu = succeed(vcpu);
		expect_io(vcpu, KVM_EXIT_IO_IN, 4);
		*(uint32_t *)pio_data(vcpu) = 0xfeedbeef;
		TEST_ASSERT_EQ(run_once(vcpu), 0);
		expect_done(vcpu);
	}
}

static void guest_port_out(void)
{
	outl(PORT, 0x12345678);
	GUEST_DONE();
}

static void guest_port_strings(void)
{
	uint8_t out[8] = "abcdefgh", in[8] = "";
	uint8_t *from = out, *to = in;
	uint64_t n = sizeof(out);

	asm volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(PORT) : "memory");
	GUEST_ASSERT_EQ(n, 0);
	GUEST_ASSERT(from == out + sizeof(out));

	n = sizeof(in);
	asm volatile("rep insb" : "+D"(to), "+c"(n) : "d"(PORT) : "memory");
	GUEST_ASSERT_EQ(n, 0);
	GUEST_ASSERT(!memcmp(in, "stuvwxyz", sizeof(in)));
	GUEST_DONE();
}

static void guest_mmio(void)
{
	*(volatile uint64_t *)MMIO_GPA = 0x1122334455667788;
	GUEST_ASSERT_EQ(*(volatile uint64_t *)MMIO_GPA, 0x8877665544332211);
	/* A read-modify-write: two exits of one instruction. */
	asm volatile("addl $5, (%0)" : : "r"(MMIO_GPA + 8) : "memory");
	GUEST_DONE();
}

/* 16 bytes are two fragments; across a page boundary each of these is split. */
static void guest_mmio_fragments(void)
{
	uint64_t in[2] = { 0x1111111111111111, 0x2222222222222222 }, out[2];

	asm volatile("movdqu (%0), %%xmm3\n\t"
		     "movdqu %%xmm3, (%1)\n\t"
		     "movdqu (%1), %%xmm4\n\t"
		     "movdqu %%xmm4, (%2)"
		     : : "r"(in), "r"(MMIO_GPA + 0xff8), "r"(out) : "memory", "xmm3", "xmm4");
	GUEST_ASSERT_EQ(out[0], 0x3333333333333333);
	GUEST_ASSERT_EQ(out[1], 0x4444444444444444);
	GUEST_DONE();
}

/* KVM keeps a copy of each part's bytes beside it. */
static void guest_mmio_split(void)
{
	*(volatile uint64_t *)(MMIO_GPA + 0xffc) = 0x1122334455667788;
	GUEST_DONE();
}

static void guest_msrs(void)
{
	wrmsr(0x12345, 0xabcdef);
	GUEST_ASSERT_EQ(rdmsr(0x12345), 0xfedcba);
	GUEST_DONE();
}

static void guest_hypercall(void)
{
	GUEST_ASSERT_EQ(kvm_hypercall(KVM_HC_MAP_GPA_RANGE, MACHINE_GPA, 1, 0, 0), 77);
	GUEST_DONE();
}

static unsigned int string_at;
static uint64_t mmio_bytes[4];

static void answer_io(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	TEST_ASSERT_EQ(run->io.port, PORT);
	for (unsigned int i = 0; i < run->io.count; i++) {
		if (run->io.direction == KVM_EXIT_IO_IN)
			pio_data(vcpu)[i] = "stuvwxyz"[i];
		else if (run->io.size == 1)
			TEST_ASSERT_EQ(pio_data(vcpu)[i], "abcdefgh"[string_at++]);
		else
			TEST_ASSERT_EQ(*(uint32_t *)pio_data(vcpu), 0x12345678);
	}
}

/* Reads of the first page say what they are asked for; the second's, by address. */
static void answer_mmio(struct kvm_run *run)
{
	uint64_t offset = run->mmio.phys_addr - MMIO_GPA;
	uint64_t value = 0;

	TEST_ASSERT(offset < 0x2000 && run->mmio.len <= 8, "MMIO at %llx", run->mmio.phys_addr);
	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, run->mmio.len);
		mmio_bytes[(offset >> 3) & 3] = value;
		return;
	}
	switch (offset) {
	case 0:
		value = 0x8877665544332211;
		break;
	case 8:
		value = 37;
		break;
	case 0xff8:
		value = 0x3333333333333333;
		break;
	case 0x1000:
		value = 0x4444444444444444;
		break;
	default:
		TEST_FAIL("read at offset %#lx", offset);
	}
	memcpy(run->mmio.data, &value, run->mmio.len);
}

static void answer(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		answer_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		answer_mmio(run);
		break;
	case KVM_EXIT_X86_WRMSR:
		TEST_ASSERT(run->msr.index == 0x12345 && run->msr.data == 0xabcdef,
			    "WRMSR %#x", run->msr.index);
		run->msr.error = 0;
		break;
	case KVM_EXIT_X86_RDMSR:
		run->msr.data = 0xfedcba;
		run->msr.error = 0;
		break;
	case KVM_EXIT_HYPERCALL:
		TEST_ASSERT_EQ(run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
		run->hypercall.ret = 77;
		break;
	default:
		TEST_FAIL("exit reason %u (%s)", run->exit_reason,
			  exit_reason_str(run->exit_reason));
	}
}

static bool is_done(struct kvm_vcpu *vcpu)
{
	return vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port != PORT;
}

static void enable_exits(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN |
						      KVM_MSR_EXIT_REASON_INVAL);
	vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
}

/* A successor with the capabilities of enable_exits(), moved to. */
static struct kvm_vcpu *succeed_with_exits(struct kvm_vcpu *src)
{
	struct kvm_vcpu *dst = successor(src);

	enable_exits(dst->vm);
	move_vcpus(dst->vm, src->vm);
	close_vm(src->vm);
	return dst;
}

/*
 * Moved at every exit: before it was answered, or, @answered, after, as when a
 * VMM dies between its answer and the next KVM_RUN. Then it is shown again and
 * answered again. Returns how many exits there were.
 */
static unsigned int moved_at_exits(unsigned long type, void *guest, bool answered)
{
	struct kvm_vcpu *vcpu = ancestor(type, guest);
	unsigned int exits = 0;

	virt_map(vcpu->vm, MMIO_GPA, MMIO_GPA, 2);
	enable_exits(vcpu->vm);
	string_at = 0;
	memset(mmio_bytes, 0, sizeof(mmio_bytes));
	for (;; exits++) {
		unsigned int reason;

		TEST_ASSERT_EQ(run_once(vcpu), 0);
		if (is_done(vcpu))
			break;
		reason = vcpu->run->exit_reason;
		if (answered) {
			unsigned int at = string_at;

			answer(vcpu);
			string_at = at;
		}
		vcpu = succeed_with_exits(vcpu);
		TEST_ASSERT_EQ(vcpu->run->exit_reason, reason);
		answer(vcpu);
	}
	expect_done(vcpu);
	close_vm(vcpu->vm);
	return exits;
}

static void exits_go_along(void *guest, unsigned int exits)
{
	require_move_vcpus();
	TYPES(type) {
		TEST_ASSERT_EQ(moved_at_exits(type, guest, false), exits);
		TEST_ASSERT_EQ(moved_at_exits(type, guest, true), exits);
	}
}

static void port_out(void)
{
	exits_go_along(guest_port_out, 1);
}

static void port_strings(void)
{
	exits_go_along(guest_port_strings, 8 + 1);
	TEST_ASSERT_EQ(string_at, 8);
}

static void mmio(void)
{
	exits_go_along(guest_mmio, 4);
	TEST_ASSERT_EQ(mmio_bytes[0], 0x1122334455667788);
	TEST_ASSERT_EQ(mmio_bytes[1], 42);
}

static void mmio_fragments(void)
{
	exits_go_along(guest_mmio_fragments, 4);
	TEST_ASSERT_EQ(mmio_bytes[3], 0x1111111111111111);
	TEST_ASSERT_EQ(mmio_bytes[0], 0x2222222222222222);
}

static void mmio_split(void)
{
	exits_go_along(guest_mmio_split, 2);
	TEST_ASSERT_EQ(mmio_bytes[3], 0x55667788);
	TEST_ASSERT_EQ(mmio_bytes[0], 0x11223344);
}

static void msrs(void)
{
	exits_go_along(guest_msrs, 2);
}

static void hypercall(void)
{
	exits_go_along(guest_hypercall, 1);
}

static const struct claim claims[] = {
	CLAIM(registers_and_a_read_in_flight,
	      "all registers are there after an IN that only the destination answers"),
	CLAIM(port_out, "an OUT in flight is shown to the destination, answered before or not"),
	CLAIM(port_strings, "so are string instructions, at each of their exits"),
	CLAIM(mmio, "so are MMIO reads, writes and both in one instruction"),
	CLAIM(mmio_fragments, "so is MMIO of more than 8 bytes, between its parts"),
	CLAIM(mmio_split, "so is a small write over the border of two pages"),
	CLAIM(msrs, "so are accesses to MSRs that userspace handles"),
	CLAIM(hypercall, "so is a hypercall"),
};

CLAIMS_MAIN(claims);
