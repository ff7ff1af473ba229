// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memslots that come and go under holes, in a VM that keeps reverse mappings.
 *
 * KVM keeps them once a guest has run a guest of its own: for the memslots that it has
 * by then, and for each new one, which has none at first. Punching must not look at them where
 * they are not.
 */
#include "async_ioctl.h"
#include "blocked_page.h"
#include "claims.h"
#include "runner.h"
#include "stress.h"
#include "machine.h"
#include "svm_util.h"

#define SIZE	(256UL << 20)
#define SLOT	20
#define BLOCKED_SLOT	21
#define BLOCKED_GPA	(1UL << 33)

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

/* KVM keeps reverse mappings when @vcpu has run. */
static struct kvm_vm *vm_of_nested_guest(struct kvm_vcpu **vcpu)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = KVM_X86_SW_PROTECTED_VM };
	struct kvm_vm *vm;
	vm_vaddr_t svm;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));
	vm = vm_create_shape_with_one_vcpu(shape, vcpu, l1_guest);
	vcpu_alloc_svm(vm, &svm);
	vcpu_args_set(*vcpu, 2, svm, nested_tables(vm));
	return vm;
}

struct race {
	struct kvm_vm *vm;
	int view;
};

static void set_slot(struct race *race, uint64_t size)
{
	vm_set_user_memory_region2(race->vm, SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA, size, NULL,
				   race->view, 0);
}

static void bind_and_unbind(void *arg)
{
	set_slot(arg, SIZE);
	set_slot(arg, 0);
}

static void punch(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < 64; i++)
		punch_pages(race->view, SIZE / PAGE_SIZE / 2 + i, 2);
}

static void bind_against_punch(void)
{
	struct kvm_vcpu *vcpu;
	struct race race = { .vm = vm_of_nested_guest(&vcpu) };

	run_to_done(vcpu);
	race.view = vm_create_guest_memfd(race.vm, SIZE, 0);
	STRESS(((struct stress_op[]){
		{ "slot", bind_and_unbind, &race },
		{ "hole", punch, &race },
	}));
}

static void touch_blocked(void)
{
	*(volatile uint64_t *)BLOCKED_GPA;
	GUEST_DONE();
}

/* Its KVM_RUN keeps kvm->srcu until the page comes. */
static void start_reader(struct runner *r, struct kvm_vm *vm, struct blocked_page *blocked)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(vm, 1, touch_blocked);

	blocked_page_init(blocked);
	vm_set_user_memory_region(vm, BLOCKED_SLOT, 0, BLOCKED_GPA, PAGE_SIZE, blocked->page);
	virt_pg_map(vm, BLOCKED_GPA, BLOCKED_GPA);
	runner_start(r, vcpu);
	blocked_page_wait(blocked);
}

static void deletion_before_rmaps(void)
{
	struct kvm_vcpu *vcpu;
	struct race race = { .vm = vm_of_nested_guest(&vcpu) };
	struct kvm_userspace_memory_region2 deleted = { .slot = SLOT };
	struct blocked_page blocked;
	struct async_ioctl deletion;
	struct runner reader;

	race.view = vm_create_guest_memfd(race.vm, SIZE, 0);
	set_slot(&race, SIZE);
	start_reader(&reader, race.vm, &blocked);
	async_ioctl_start(&deletion, race.vm->fd, KVM_SET_USER_MEMORY_REGION2,
			  (unsigned long)&deleted);
	/* For the reader: the memslots have a copy of the slot by now. */
	async_ioctl_blocked(&deletion);
	run_to_done(vcpu);
	punch(&race);
	TEST_ASSERT(!async_ioctl_is_done(&deletion), "the deletion waited for nobody");
	blocked_page_let_go(&blocked, NULL, 0);
	TEST_ASSERT_EQ(async_ioctl_result(&deletion), 0);
	runner_wait(&reader);
}

static const struct claim claims[] = {
	CLAIM(bind_against_punch, "slots come and go under holes in a VM with reverse mappings"),
	CLAIM(deletion_before_rmaps,
	      "a VM's first reverse mappings come, and a hole, while a slot is being deleted"),
};

CLAIMS_MAIN(claims);
