// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memslots that come and go under holes, in a VM that keeps reverse mappings.
 *
 * KVM keeps them once a guest has run a guest of its own, and allocates a new
 * memslot's after the slot is bound: punching must not look at them by then.
 */
#include "claims.h"
#include "stress.h"
#include "machine.h"
#include "svm_util.h"

#define SIZE	(256UL << 20)
#define SLOT	20

static void l2_guest(struct svm_test_data *svm __attribute__((unused)))
{
	asm volatile("vmmcall");
}

static void l1_guest(struct svm_test_data *svm, uint64_t ncr3)
{
	unsigned long stack[64];

	generic_svm_setup(svm, l2_guest, &stack[64]);
	svm->vmcb->control.nested_ctl |= 1;
	svm->vmcb->control.nested_cr3 = ncr3;
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
	GUEST_DONE();
}

/* The guest's nested page tables: the first 1 GiB, by 2 MiB pages. */
static uint64_t nested_tables(struct kvm_vm *vm)
{
	vm_vaddr_t table[3];
	uint64_t *entries;

	for (int level = 0; level < 3; level++)
		table[level] = vm_vaddr_alloc_page(vm);
	for (int level = 0; level < 2; level++) {
		entries = addr_gva2hva(vm, table[level]);
		entries[0] = addr_gva2gpa(vm, table[level + 1]) | 7;
	}
	entries = addr_gva2hva(vm, table[2]);
	for (uint64_t i = 0; i < 512; i++)
		entries[i] = (i << 21) | 0x87;
	return addr_gva2gpa(vm, table[0]);
}

static struct kvm_vm *vm_with_rmaps(void)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = KVM_X86_SW_PROTECTED_VM };
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct ucall uc;
	vm_vaddr_t svm;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));
	vm = vm_create_shape_with_one_vcpu(shape, &vcpu, l1_guest);
	vcpu_alloc_svm(vm, &svm);
	vcpu_args_set(vcpu, 2, svm, nested_tables(vm));
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_DONE);
	return vm;
}

struct race {
	struct kvm_vm *vm;
	int view;
};

static void bind_and_unbind(void *arg)
{
	struct race *race = arg;

	vm_set_user_memory_region2(race->vm, SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA, SIZE, NULL,
				   race->view, 0);
	vm_set_user_memory_region2(race->vm, SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA, 0, NULL,
				   race->view, 0);
}

static void punch(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < 64; i++)
		punch_pages(race->view, SIZE / PAGE_SIZE / 2 + i, 2);
}

static void bind_against_punch(void)
{
	struct race race = { .vm = vm_with_rmaps() };

	race.view = vm_create_guest_memfd(race.vm, SIZE, 0);
	STRESS(((struct stress_op[]){
		{ "slot", bind_and_unbind, &race },
		{ "hole", punch, &race },
	}));
}

static const struct claim claims[] = {
	CLAIM(bind_against_punch, "slots come and go under holes in a VM with reverse mappings"),
};

CLAIMS_MAIN(claims);
