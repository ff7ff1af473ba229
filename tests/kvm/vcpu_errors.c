// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS refused: each way in which a destination does not match. Both
 * VMs are as they were: the source's guest goes on, and so it does in a
 * destination that matches.
 */
#include "apic.h"
#include "claims.h"
#include "machine.h"
#include "successor.h"

static void counts(void)
{
	for (uint64_t i = 1; ; i++)
		GUEST_SYNC(i);
}

/* The next step of counts(), in whichever VM it is. */
static void expect_next(struct kvm_vcpu *vcpu)
{
	static uint64_t steps;
	struct ucall uc;

	TEST_ASSERT_EQ(run_once(vcpu), 0);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), (uint64_t)UCALL_SYNC);
	TEST_ASSERT(uc.args[1] == 1 || uc.args[1] == steps + 1, "step %lu after %lu", uc.args[1],
		    steps);
	steps = uc.args[1];
}

/* ---- ways not to match: each is done to a destination before its vCPU is there, or after */

static void pit(struct kvm_vm *vm)
{
	struct kvm_pit_config config = { };

	vm_ioctl(vm, KVM_CREATE_PIT2, &config);
}

/* For sources that have one without a speaker. */
static void pit_with_speaker(struct kvm_vm *vm)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };

	vm_ioctl(vm, KVM_CREATE_PIT2, &config);
}

static void x2apic_format(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS);
}

static void x2apic_broadcast(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
}

static void bus_cycle(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_X86_APIC_BUS_CYCLES_NS, 25);
}

static void boot_cpu(struct kvm_vm *vm)
{
	vm_ioctl(vm, KVM_SET_BOOT_CPU_ID, (void *)3UL);
}

static void hlt_in_guest(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_HLT);
}

static void quirks(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_LINT0_REENABLED);
}

static void platform_info(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_MSR_PLATFORM_INFO, 0);
}

static void exception_payload(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_EXCEPTION_PAYLOAD, 1);
}

static void triple_fault_event(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
}

static void exit_on_emulation_failure(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
}

static void user_space_msr(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
}

static void hypercalls(struct kvm_vm *vm)
{
	vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
}

static void xen(struct kvm_vm *vm)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
		.msr = 0x40000200,
	};

	vm_ioctl(vm, KVM_XEN_HVM_CONFIG, &config);
}

static void one_more_vcpu(struct kvm_vcpu *vcpu)
{
	__vm_vcpu_add(vcpu->vm, 7);
}

static void a_cpuid_bit(struct kvm_vcpu *vcpu)
{
	vcpu_clear_cpuid_feature(vcpu, X86_FEATURE_MOVBE);
	vcpu_set_cpuid(vcpu);
}

static void one_cpuid_entry_less(struct kvm_vcpu *vcpu)
{
	vcpu->cpuid->nent--;
	vcpu_set_cpuid(vcpu);
}

static void hyperv(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = allocate_kvm_cpuid2(vcpu->cpuid->nent + 1);
	struct kvm_cpuid_entry2 *entry = &cpuid->entries[vcpu->cpuid->nent];

	memcpy(cpuid->entries, vcpu->cpuid->entries, vcpu->cpuid->nent * sizeof(*entry));
	*entry = (struct kvm_cpuid_entry2){ .function = 0x40000001, .eax = 0x31237648 };
	for (int i = 0; i < vcpu->cpuid->nent; i++) {
		if (cpuid->entries[i].function == 0x40000001)
			cpuid->entries[i].eax = entry->eax;
	}
	vcpu_init_cpuid(vcpu, cpuid);
}

static void mce(struct kvm_vcpu *vcpu)
{
	uint64_t cap = 5;

	vcpu_ioctl(vcpu, KVM_X86_SETUP_MCE, &cap);
}

static void pv_cpuid(struct kvm_vcpu *vcpu)
{
	vcpu_enable_cap(vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1);
}

static void has_run(struct kvm_vcpu *vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rip = 0xfff0, .rflags = 2 };

	/* At an address with nothing behind it, inside the segment: leaves at once. */
	vcpu_sregs_get(vcpu, &sregs);
	sregs.cs.base = 0xf0000000;
	sregs.cs.selector = 0xf000;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);
	TEST_ASSERT_EQ(run_once(vcpu), 0);
}

static const struct mismatch {
	const char *name;
	void (*vm)(struct kvm_vm *vm);
	void (*vcpu)(struct kvm_vcpu *vcpu);
} mismatches[] = {
	{ "a PIT", pit, NULL },
	{ "the LAPICs' format", x2apic_format, NULL },
	{ "the x2APIC broadcast quirk", x2apic_broadcast, NULL },
	{ "the APIC bus's frequency", bus_cycle, NULL },
	{ "the boot CPU", boot_cpu, NULL },
	{ "HLT without exits", hlt_in_guest, NULL },
	{ "a quirk", quirks, NULL },
	{ "MSR_PLATFORM_INFO", platform_info, NULL },
	{ "exception payloads", exception_payload, NULL },
	{ "triple faults as events", triple_fault_event, NULL },
	{ "exits at emulation failures", exit_on_emulation_failure, NULL },
	{ "MSRs in userspace", user_space_msr, NULL },
	{ "hypercalls in userspace", hypercalls, NULL },
	{ "Xen", xen, NULL },
	{ "a vCPU more", NULL, one_more_vcpu },
	{ "a bit of CPUID", NULL, a_cpuid_bit },
	{ "an entry of CPUID", NULL, one_cpuid_entry_less },
	{ "Hyper-V", NULL, hyperv },
	{ "MCE banks", NULL, mce },
	{ "enforced PV features", NULL, pv_cpuid },
	{ "that it has run", NULL, has_run },
};

static void mismatch(const struct mismatch *m, unsigned long type)
{
	struct kvm_vcpu *src = ancestor(type, counts), *bad, *good;

	expect_next(src);
	bad = m->vm ? NULL : successor(src);
	if (m->vm) {
		struct kvm_vm *vm = successor_vm(src->vm);

		m->vm(vm);
		bad = successor_vcpu(vm, src, src->id);
	} else {
		m->vcpu(bad);
	}

	errno = 0;
	TEST_ASSERT(__move_vcpus(bad->vm, src->vm) == -1 && errno == EINVAL,
		    "%s: errno %d", m->name, errno);
	expect_next(src);

	good = successor(src);
	move_vcpus(good->vm, src->vm);
	expect_next(good);
	TEST_ASSERT(__move_vcpus(bad->vm, good->vm) == -1 && errno == EINVAL,
		    "%s, from a VM that was moved: errno %d", m->name, errno);
	expect_next(good);
	close_vm(src->vm);
	close_vm(good->vm);
	close_vm(bad->vm);
}

static void speakers_do_not_match(void)
{
	struct kvm_vcpu *src, *bad;
	struct kvm_vm *vm;

	require_move_vcpus();
	src = ancestor(KVM_X86_DEFAULT_VM, counts);
	pit(src->vm);
	expect_next(src);
	vm = successor_vm(src->vm);
	pit_with_speaker(vm);
	bad = successor_vcpu(vm, src, src->id);
	TEST_ERRNO(__move_vcpus(bad->vm, src->vm), EINVAL);
	expect_next(src);

	vm = successor_vm(src->vm);
	pit(vm);
	bad = successor_vcpu(vm, src, src->id);
	move_vcpus(vm, src->vm);
	expect_next(bad);
}

static void vms_do_not_match(void)
{
	require_move_vcpus();
	TYPES(type) {
		for (unsigned int i = 0; i < ARRAY_SIZE(mismatches); i++)
			mismatch(&mismatches[i], type);
	}
}

static void expect_refused(struct kvm_vcpu *src, int dst_fd, int src_fd, uint64_t flags,
			   uint64_t more, int err)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		.args = { (__u32)src_fd, flags, more, 0 },
	};

	TEST_ASSERT(ioctl(dst_fd, KVM_ENABLE_CAP, &cap) == -1 && errno == err,
		    "flags %#lx, args[2] %#lx: errno %d, not %d", flags, more, errno, err);
	expect_next(src);
}

static void arguments(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct kvm_vcpu *src = ancestor(type, counts), *dst = successor(src);
		struct kvm_vm *vm = src->vm;

		for (unsigned int bit = 0; bit < 64; bit++) {
			if (BIT_ULL(bit) != KVM_MOVE_VCPUS)
				expect_refused(src, dst->vm->fd, vm->fd,
					       KVM_MOVE_VCPUS | BIT_ULL(bit), 0, EINVAL);
		}
		expect_refused(src, dst->vm->fd, vm->fd, KVM_MOVE_VCPUS, 1, EINVAL);
		expect_refused(src, dst->vm->fd, -1, KVM_MOVE_VCPUS, 0, EBADF);
		expect_refused(src, dst->vm->fd, 0, KVM_MOVE_VCPUS, 0, EBADF);
		expect_refused(src, dst->vm->fd, src->fd, KVM_MOVE_VCPUS, 0, EBADF);
		expect_refused(src, vm->fd, vm->fd, KVM_MOVE_VCPUS, 0, EINVAL);
		move_vcpus(dst->vm, vm);
		expect_next(dst);
	}
}

static void other_vms(void)
{
	struct kvm_vcpu *src, *protected, *bare, *dst, *third;
	struct kvm_vm *vm;

	require_move_vcpus();
	src = ancestor(KVM_X86_DEFAULT_VM, counts);
	protected = ancestor(KVM_X86_SW_PROTECTED_VM, counts);
	expect_refused(src, protected->vm->fd, src->vm->fd, KVM_MOVE_VCPUS, 0, EINVAL);

	vm = successor_vm(src->vm);
	expect_refused(src, vm->fd, src->vm->fd, KVM_MOVE_VCPUS, 0, EINVAL);
	bare = successor_vcpu(vm, src, 1);
	expect_refused(src, bare->vm->fd, src->vm->fd, KVM_MOVE_VCPUS, 0, EINVAL);

	vm = ____vm_create((struct vm_shape){ .mode = VM_MODE_DEFAULT });
	bare = successor_vcpu(vm, src, 0);	/* without an irqchip */
	expect_refused(src, bare->vm->fd, src->vm->fd, KVM_MOVE_VCPUS, 0, EINVAL);

	dst = successor(src);
	third = successor(src);
	move_vcpus(dst->vm, src->vm);
	TEST_ERRNO(__move_vcpus(third->vm, src->vm), EIO);
	TEST_ERRNO(__move_vcpus(src->vm, dst->vm), EIO);
	expect_next(dst);
	move_vcpus(third->vm, dst->vm);
	expect_next(third);
}

/* Without vCPUs there is nothing to move by this flag. */
static void no_vcpus(void)
{
	struct kvm_vm *src, *dst;

	require_move_vcpus();
	TYPES(type) {
		src = ____vm_create((struct vm_shape){ .mode = VM_MODE_DEFAULT, .type = type });
		dst = ____vm_create((struct vm_shape){ .mode = VM_MODE_DEFAULT, .type = type });
		TEST_ERRNO(__move_vcpus(dst, src), EINVAL);
		__vm_vcpu_add(src, 0);
		__vm_vcpu_add(dst, 0);
		move_vcpus(dst, src);
	}
}

/* No state that could not be set: its VMM has taken x2APIC from CPUID since it was on. */
static void lapic_of_another_cpuid(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct kvm_vcpu *src = ancestor(type, counts), *dst;
		uint64_t base = vcpu_get_msr(src, MSR_IA32_APICBASE);

		vcpu_set_cpuid_feature(src, X86_FEATURE_X2APIC);
		vcpu_set_msr(src, MSR_IA32_APICBASE, base | X2APIC_ENABLE);
		vcpu_clear_cpuid_feature(src, X86_FEATURE_X2APIC);
		TEST_ASSERT_EQ(vcpu_get_msr(src, MSR_IA32_APICBASE), base | X2APIC_ENABLE);

		dst = successor(src);
		TEST_ERRNO(__move_vcpus(dst->vm, src->vm), EINVAL);
		TEST_ASSERT_EQ(vcpu_get_msr(src, MSR_IA32_APICBASE), base | X2APIC_ENABLE);

		vcpu_set_msr(src, MSR_IA32_APICBASE, base);
		move_vcpus(dst->vm, src->vm);
		TEST_ASSERT_EQ(vcpu_get_msr(dst, MSR_IA32_APICBASE), base);
		expect_next(dst);
	}
}

static void memory_does_not_match(void)
{
	struct kvm_vcpu *src, *dst;

	require_move_vcpus();
	src = ancestor(KVM_X86_SW_PROTECTED_VM, counts);
	dst = successor(src);
	vm_set_user_memory_region2(dst->vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
				   PAGE_SIZE, NULL,
				   vm_create_guest_memfd(dst->vm, PAGE_SIZE, 0), 0);
	expect_refused(src, dst->vm->fd, src->vm->fd, KVM_MOVE_VCPUS, 0, EINVAL);
	vm_set_user_memory_region2(dst->vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA, 0,
				   NULL, -1, 0);
	move_vcpus(dst->vm, src->vm);
	expect_next(dst);
}

static const struct claim claims[] = {
	SLOW_CLAIM(vms_do_not_match, 180,
		   "EINVAL for each thing that does not match, and both VMs are as they were"),
	CLAIM(speakers_do_not_match, "EINVAL for a PIT with a speaker where there was none"),
	CLAIM(arguments, "EINVAL for other flags and arguments, EBADF for what is no VM"),
	CLAIM(other_vms, "EINVAL for other types, vCPU ids and irqchips, EIO for a dead VM"),
	CLAIM(no_vcpus, "EINVAL without vCPUs"),
	CLAIM(lapic_of_another_cpuid, "EINVAL for a LAPIC in a mode that CPUID forbids"),
	CLAIM(memory_does_not_match, "EINVAL where memory does not match"),
};

CLAIMS_MAIN(claims);
