// SPDX-License-Identifier: GPL-2.0-only
/*
 * System management mode, whose address space is another: a guest memory inode is bound
 * in one of them, and reached from the other through its mapping.
 */
#include "apic.h"
#include "claims.h"
#include "mapped.h"
#include "runner.h"

#define SMRAM		0x1000000	/* GPA and GVA */
#define SLOT		5
#define SMM_SLOT	(1 << 16 | SLOT)
#define PAGES		16
#define SIZE		(PAGES * PAGE_SIZE)
#define HANDLER		0x8000		/* where an SMI enters, and where it leaves the state */
#define STATE		0xfe00
#define STATE_SIZE	0x200
#define DATA		0x9000
#define SMIS		20

/* In real mode, whose CS is at SMRAM: the byte at DATA and one goes behind it. */
static const uint8_t handler[] = {
	0x2e, 0xa0, DATA & 0xff, DATA >> 8,		/* mov %cs:DATA, %al */
	0xfe, 0xc0,					/* inc %al */
	0x2e, 0xa2, (DATA + 1) & 0xff, DATA >> 8,	/* mov %al, %cs:DATA+1 */
	0x0f, 0xaa,					/* rsm */
};

static void smi(void)
{
	x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | APIC_DM_SMI);
}

static bool state_is_saved(const uint8_t *smram)
{
	for (int i = 0; i < STATE_SIZE; i++) {
		if (((volatile const uint8_t *)smram)[STATE + i])
			return true;
	}
	return false;
}

static void guest_code(void)
{
	volatile uint8_t *smram = (void *)SMRAM;

	x2apic_enable();
	GUEST_SYNC(0);
	for (int i = 1; i <= SMIS; i++) {
		smram[DATA] = i;
		smi();
		GUEST_ASSERT_EQ(smram[DATA + 1], i + 1);
		GUEST_SYNC(i);
	}
	GUEST_DONE();
}

struct smram {
	struct kvm_vcpu *vcpu;
	int view;
	uint8_t *host;
};

static struct smram smram_create(uint32_t type)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = type };
	struct smram s;
	struct kvm_vm *vm;

	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_MMAP,
		       "these modules have no GUEST_MEMFD_FLAG_MMAP");
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_SMM));
	vm = vm_create_shape_with_one_vcpu(shape, &s.vcpu, guest_code);
	s.view = vm_create_guest_memfd(vm, SIZE, MMAP_SHARED);
	s.host = (uint8_t *)map_view(s.view, PAGES);
	vm_set_user_memory_region2(vm, SLOT, KVM_MEM_GUEST_MEMFD, SMRAM, SIZE, s.host, s.view, 0);
	virt_map(vm, SMRAM, SMRAM, PAGES);
	memcpy(s.host + HANDLER, handler, sizeof(handler));
	vcpu_set_msr(s.vcpu, MSR_IA32_SMBASE, SMRAM);
	return s;
}

/* Guest, SMI handler, KVM and host: one memory, whoever writes to it. */
static void one_memory(void)
{
	struct smram s = smram_create(KVM_X86_DEFAULT_VM);

	TEST_ASSERT(!__vm_set_user_memory_region(s.vcpu->vm, SMM_SLOT, 0, SMRAM, SIZE, s.host),
		    "a plain slot on the mapping: errno %d", errno);
	run_to_sync(s.vcpu, 0);
	for (int i = 1; i <= SMIS; i++) {
		TEST_ASSERT(!state_is_saved(s.host), "a state is saved");
		run_to_sync(s.vcpu, i);
		TEST_ASSERT_EQ(s.host[DATA + 1], i + 1);
		TEST_ASSERT(state_is_saved(s.host), "KVM saved the state elsewhere");
		/* New pages for all of it, in both address spaces. */
		punch_pages(s.view, 0, PAGES);
		TEST_ASSERT_EQ(s.host[DATA + 1], 0);
		memcpy(s.host + HANDLER, handler, sizeof(handler));
	}
	run_to_done(s.vcpu);
}

static void bound_once(void)
{
	struct smram s = smram_create(KVM_X86_DEFAULT_VM);
	struct kvm_vm *vm = s.vcpu->vm;

	TEST_ERRNO(__vm_set_user_memory_region2(vm, SMM_SLOT, KVM_MEM_GUEST_MEMFD, SMRAM, SIZE,
						s.host, s.view, 0), EINVAL);
	/* It may be SMM's alone. */
	vm_set_user_memory_region2(vm, SLOT, KVM_MEM_GUEST_MEMFD, SMRAM, 0, NULL, -1, 0);
	vm_set_user_memory_region2(vm, SMM_SLOT, KVM_MEM_GUEST_MEMFD, SMRAM, SIZE, s.host,
				   s.view, 0);
	TEST_ERRNO(__vm_set_user_memory_region2(vm, SLOT, KVM_MEM_GUEST_MEMFD, SMRAM, SIZE,
						s.host, s.view, 0), EINVAL);
	TEST_ASSERT(!__vm_set_user_memory_region(vm, SLOT, 0, SMRAM, SIZE, s.host),
		    "a plain slot on the mapping: errno %d", errno);
	run_to_sync(s.vcpu, 0);
	for (int i = 1; i <= SMIS; i++)
		run_to_sync(s.vcpu, i);
	TEST_ASSERT(state_is_saved(s.host), "KVM saved the state elsewhere");
	run_to_done(s.vcpu);
}

/* It has no such address space: nothing to enter. */
static void none_with_private_memory(void)
{
	struct smram s = smram_create(KVM_X86_SW_PROTECTED_VM);

	TEST_ASSERT_EQ(vm_check_cap(s.vcpu->vm, KVM_CAP_MULTI_ADDRESS_SPACE), 1);
	TEST_ERRNO(__vm_set_user_memory_region(s.vcpu->vm, SMM_SLOT, 0, SMRAM, SIZE, s.host),
		   EINVAL);
	run_to_sync(s.vcpu, 0);
	TEST_ASSERT_EQ(_vcpu_run(s.vcpu) ? errno : 0, EIO);
	TEST_ASSERT(!state_is_saved(s.host), "a state was saved");
}

static const struct claim claims[] = {
	CLAIM(one_memory, "an SMI's handler, its state, the guest and the host have one memory"),
	CLAIM(bound_once, "the inode is bound in one address space; which does not matter"),
	CLAIM(none_with_private_memory, "a VM with private memory has no SMM: an SMI ends it"),
};

CLAIMS_MAIN(claims);
