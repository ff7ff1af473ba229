// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS on Intel: what the guest has set by itself is there after the move, also what
 * KVM leaves to the processor until it is asked for; and what is refused of VMX.
 */
#include "claims.h"
#include "machine.h"
#include "successor.h"

#define PORT		0x77
#define REAL_MODE_GPA	0x8000

static void require_vmx(void)
{
	__TEST_REQUIRE(host_cpu_is_intel, "this is no Intel CPU");
	require_move_vcpus();
}

/* ---- what the guest sets */

static const struct {
	uint32_t index;
	uint64_t value;
} msrs[] = {
	{ MSR_KERNEL_GS_BASE, 0xffff800012345000 },
	{ MSR_FS_BASE, 0xffff800055555000 },
	{ MSR_STAR, 0x0023001000000000 },
	{ MSR_LSTAR, 0xffffffff81234560 },
	{ MSR_SYSCALL_MASK, 0x47700 },
	{ MSR_IA32_SYSENTER_CS, 0x10 },
	{ MSR_IA32_SYSENTER_ESP, 0xffffc90000001000 },
	{ MSR_IA32_SYSENTER_EIP, 0xffffffff81654320 },
	{ MSR_IA32_CR_PAT, 0x0007040600070406 },
	{ MSR_TSC_AUX, 5 },
};

#define FLAG_ID		BIT(21)
#define OWN_CR0		X86_CR0_TS	/* without an exit */
#define OWN_CR4		(X86_CR4_DE | X86_CR4_PCE)

static void set_cr0(uint64_t value)
{
	asm volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

static __always_inline uint64_t read_rsp(void)
{
	uint64_t rsp;

	asm volatile("mov %%rsp, %0" : "=r"(rsp));
	return rsp;
}

/* ID, which nothing else sets. */
static uint64_t read_flags(void)
{
	uint64_t flags;

	asm volatile("pushfq\n\t pop %0" : "=r"(flags));
	return flags & FLAG_ID;
}

static void flip_id(void)
{
	asm volatile("pushfq\n\t xorq %0, (%%rsp)\n\t popfq" : : "i"(FLAG_ID) : "cc");
}

static void has_its_own(void)
{
	struct desc_ptr gdt, before = get_gdt();
	uint64_t cr3 = get_cr3(), rsp = read_rsp(), flags;

	set_cr4(get_cr4() | OWN_CR4);
	set_cr0(get_cr0() | OWN_CR0);
	for (int i = 0; i < ARRAY_SIZE(msrs); i++)
		wrmsr(msrs[i].index, msrs[i].value);

	for (int round = 0; round < 4; round++) {
		flip_id();
		flags = read_flags();
		GUEST_SYNC(round);
		GUEST_ASSERT_EQ(read_flags(), flags);
		GUEST_ASSERT_EQ(read_rsp(), rsp);
		GUEST_ASSERT_EQ(get_cr3(), cr3);
		GUEST_ASSERT_EQ(get_cr0() & OWN_CR0, OWN_CR0);
		GUEST_ASSERT_EQ(get_cr4() & OWN_CR4, OWN_CR4);
		for (int i = 0; i < ARRAY_SIZE(msrs); i++)
			GUEST_ASSERT_EQ(rdmsr(msrs[i].index), msrs[i].value);
		gdt = get_gdt();
		GUEST_ASSERT_EQ(gdt.address, before.address);
		GUEST_ASSERT_EQ(gdt.size, before.size);
	}
	GUEST_DONE();
}

static void guest_keeps_its_own(void)
{
	struct kvm_vcpu *vcpu;
	struct ucall uc;

	require_vmx();
	TYPES(type) {
		vcpu = ancestor(type, has_its_own);
		for (;;) {
			TEST_ASSERT_EQ(run_once(vcpu), 0);
			if (get_ucall(vcpu, &uc) != UCALL_SYNC)
				break;
			vcpu = succeed(vcpu);
		}
		expect_done(vcpu);
	}
}

/* Tells 1, 2, 3 and so on at a port, in real mode. */
static void set_real_mode(struct kvm_vcpu *vcpu)
{
	static const uint8_t code[] = {
		0xe7, PORT,	/* out %ax, $PORT */
		0x40,		/* inc %ax */
		0xeb, 0xfb,	/* jmp to the first */
	};
	const struct kvm_segment segment = { .limit = 0xffff, .type = 3, .present = 1, .s = 1 };
	struct kvm_regs regs = { .rip = REAL_MODE_GPA, .rax = 1, .rflags = 2 };
	struct kvm_sregs sregs;

	/* Over code of the library's that this guest never runs. */
	memcpy(addr_gpa2hva(vcpu->vm, REAL_MODE_GPA), code, sizeof(code));

	vcpu_sregs_get(vcpu, &sregs);
	for (struct kvm_segment *s = &sregs.cs; s <= &sregs.ss; s++)
		*s = segment;
	sregs.cs.type = 0xb;
	sregs.cr0 &= ~(X86_CR0_PE | X86_CR0_PG);
	sregs.cr4 = 0;
	sregs.efer = 0;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);
}

static void real_mode(void)
{
	struct kvm_vcpu *vcpu;

	require_vmx();
	TYPES(type) {
		vcpu = ancestor(type, has_its_own);
		set_real_mode(vcpu);
		for (uint16_t count = 1; count < 10; count++) {
			TEST_ASSERT_EQ(run_once(vcpu), 0);
			TEST_ASSERT_EQ(vcpu->run->exit_reason, (uint32_t)KVM_EXIT_IO);
			TEST_ASSERT_EQ(*(uint16_t *)((uint8_t *)vcpu->run +
						     vcpu->run->io.data_offset), count);
			vcpu = succeed(vcpu);
		}
	}
}

/* ---- what is refused */

static void counts(void)
{
	for (uint64_t i = 1; ; i++)
		GUEST_SYNC(i);
}

static void expect_step(struct kvm_vcpu *vcpu, uint64_t step)
{
	struct ucall uc;

	TEST_ASSERT_EQ(run_once(vcpu), 0);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), (uint64_t)UCALL_SYNC);
	TEST_ASSERT_EQ(uc.args[1], step);
}

static void vmxon(struct kvm_vcpu *vcpu, uint64_t region)
{
	struct kvm_nested_state state = {
		.format = KVM_STATE_NESTED_FORMAT_VMX,
		.size = sizeof(state),
		.hdr.vmx = { .vmxon_pa = region, .vmcs12_pa = -1 },
	};

	vcpu_ioctl(vcpu, KVM_SET_NESTED_STATE, &state);
}

static void hypervisors(void)
{
	struct kvm_vcpu *src, *dst;

	require_vmx();
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_VMX));
	TYPES(type) {
		src = ancestor(type, counts);
		dst = successor(src);
		expect_step(src, 1);

		vmxon(src, 0x1000);
		TEST_ERRNO(__move_vcpus(dst->vm, src->vm), EINVAL);
		vmxon(src, -1);
		vmxon(dst, 0x1000);
		TEST_ERRNO(__move_vcpus(dst->vm, src->vm), EINVAL);
		vmxon(dst, -1);

		expect_step(src, 2);
		move_vcpus(dst->vm, src->vm);
		expect_step(dst, 3);
	}
}

static void other_vmx_msrs(void)
{
	struct kvm_vcpu *src, *dst;
	uint64_t before;

	require_vmx();
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_VMX));
	TYPES(type) {
		src = ancestor(type, counts);
		dst = successor(src);
		expect_step(src, 1);

		before = vcpu_get_msr(dst, MSR_IA32_VMX_VMCS_ENUM);
		vcpu_set_msr(dst, MSR_IA32_VMX_VMCS_ENUM, before ^ 2);
		TEST_ERRNO(__move_vcpus(dst->vm, src->vm), EINVAL);
		vcpu_set_msr(dst, MSR_IA32_VMX_VMCS_ENUM, before);

		expect_step(src, 2);
		move_vcpus(dst->vm, src->vm);
		expect_step(dst, 3);
	}
}

static void other_addresses(void)
{
	uint64_t address = 0xfeffb000;
	struct kvm_vcpu *src, *dst;
	struct kvm_vm *vm;

	require_vmx();
	TYPES(type) {
		src = ancestor(type, counts);
		vm = successor_vm(src->vm);
		vm_ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &address);
		dst = successor_vcpu(vm, src, src->id);
		expect_step(src, 1);
		TEST_ERRNO(__move_vcpus(dst->vm, src->vm), EINVAL);

		dst = successor(src);
		expect_step(src, 2);
		move_vcpus(dst->vm, src->vm);
		expect_step(dst, 3);
	}
}

static const struct claim claims[] = {
	CLAIM(guest_keeps_its_own, "registers and MSRs that the guest has set are its own"),
	CLAIM(real_mode, "a guest in real mode goes on"),
	CLAIM(hypervisors, "EINVAL for a vCPU in VMX operation"),
	CLAIM(other_vmx_msrs, "EINVAL where the VMX capability MSRs are not the same"),
	CLAIM(other_addresses, "EINVAL for another address of the identity map"),
};

CLAIMS_MAIN(claims);
