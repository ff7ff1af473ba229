// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS: a guest (L1) that runs a guest of its own (L2), with nested
 * SVM, moved in each of them.
 */
#include "claims.h"
#include "interrupts.h"
#include "runner.h"
#include "successor.h"
#include "svm_util.h"
#include "ucall_common.h"

#define VECTOR		0x41
#define PORT		0x77
#define L2_STACK	64		/* words */
#define ROUNDS		10

static uint64_t l2_stack[L2_STACK] __attribute__((aligned(16)));	/* of the guest */
static volatile uint64_t counted;					/* of the guest */

static uint32_t ask_host(uint32_t question)
{
	uint32_t answer;

	asm volatile("out %[q], %%dx\n\t in %%dx, %%eax"
		     : "=a"(answer) : [q] "a"(question), "d"(PORT));
	return answer;
}

/* Each round: two exits to the host, of which L1 knows nothing; then one to L1. */
static void l2_asks(void)
{
	for (uint32_t i = 0; ; i++) {
		GUEST_ASSERT_EQ(ask_host(i), i + 1000);
		counted++;
		vmmcall();
	}
}

static void l2_run(struct svm_test_data *svm)
{
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
	svm->vmcb->save.rip += 3;
}

static void l2_setup(struct svm_test_data *svm, void *guest)
{
	generic_svm_setup(svm, guest, &l2_stack[L2_STACK - 1]);
}

static void l1_runs_l2(struct svm_test_data *svm)
{
	l2_setup(svm, l2_asks);
	for (int i = 1; i <= ROUNDS; i++) {
		l2_run(svm);
		GUEST_ASSERT_EQ(counted, i);
		GUEST_SYNC(i);
	}
	GUEST_DONE();
}

static struct kvm_vcpu *svm_ancestor(void *guest)
{
	struct kvm_vcpu *vcpu;
	vm_vaddr_t svm;

	require_move_vcpus();
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));
	vcpu = ancestor(KVM_X86_DEFAULT_VM, guest);
	vcpu_alloc_svm(vcpu->vm, &svm);
	vcpu_args_set(vcpu, 1, svm);
	return vcpu;
}

static void expect_io(struct kvm_vcpu *vcpu, int direction)
{
	struct kvm_run *run = vcpu->run;
	struct runner r;
	struct ucall uc;

	runner_start(&r, vcpu);
	runner_wait(&r);
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT) {
		TEST_ASSERT_EQ(run->io.direction, direction);
		return;
	}
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_FAIL("exit reason %u", run->exit_reason);
}

static uint32_t *io_data(struct kvm_vcpu *vcpu)
{
	return (uint32_t *)((uint8_t *)vcpu->run + vcpu->run->io.data_offset);
}

static bool in_l2(struct kvm_vcpu *vcpu)
{
	union {
		struct kvm_nested_state state;
		uint8_t room[KVM_STATE_NESTED_SVM_VMCB_SIZE + sizeof(struct kvm_nested_state)];
	} u = { .state.size = sizeof(u) };

	vcpu_nested_state_get(vcpu, &u.state);
	return u.state.flags & KVM_STATE_NESTED_GUEST_MODE;
}

/* At the OUT, between it and the IN, and in L1: each several times. */
static void pending_exits_of_l2(void)
{
	struct kvm_vcpu *vcpu = svm_ancestor(l1_runs_l2);

	for (uint32_t i = 0; i < ROUNDS; i++) {
		expect_io(vcpu, KVM_EXIT_IO_OUT);
		TEST_ASSERT(in_l2(vcpu), "the source is not in L2");
		TEST_ASSERT_EQ(*io_data(vcpu), i);
		vcpu = succeed(vcpu);
		TEST_ASSERT(in_l2(vcpu), "the destination is not in L2");

		expect_io(vcpu, KVM_EXIT_IO_IN);
		vcpu = succeed(succeed(vcpu));
		*io_data(vcpu) = i + 1000;
		run_to_sync(vcpu, i + 1);
		TEST_ASSERT(!in_l2(vcpu), "the source is in L2");
		vcpu = succeed(vcpu);
		TEST_ASSERT(!in_l2(vcpu), "the destination is in L2");
	}
	run_to_done(vcpu);
}

static void l2_counts(void)
{
	for (uint64_t i = 0; ; i++) {
		GUEST_ASSERT_EQ(counted, i);
		counted = i + 1;
		if (!((i + 1) % 1000))
			vmmcall();
	}
}

static void l1_runs_busy_l2(struct svm_test_data *svm)
{
	l2_setup(svm, l2_counts);
	for (uint64_t i = 1; ; i++) {
		l2_run(svm);
		GUEST_ASSERT_EQ(counted, i * 1000);
	}
}

/* Wherever it is, in the middle of L2's code mostly. */
static void running_l2(void)
{
	struct kvm_vcpu *vcpu = svm_ancestor(l1_runs_busy_l2);
	volatile uint64_t *count = GUEST_VARIABLE(vcpu->vm, counted);
	int moved_in_l2 = 0;
	struct runner r;
	struct ucall uc;

	for (int i = 0; i < 30; i++) {
		runner_start(&r, vcpu);
		wait_for(count, *count + 100);
		if (runner_stop(&r) && get_ucall(vcpu, &uc) == UCALL_ABORT)
			REPORT_GUEST_ASSERT(uc);
		TEST_ASSERT(!r.ended, "exit reason %u", vcpu->run->exit_reason);
		moved_in_l2 += in_l2(vcpu);
		vcpu = succeed(vcpu);
	}
	pr_info("moved in L2 %d times\n", moved_in_l2);
	TEST_ASSERT(moved_in_l2, "never moved in L2");
}

/*
 * Nested page tables of L1's own: L2's physical addresses are L1's, in one table
 * of 1 GiB pages, but for the page that holds `behind`, which stands for another.
 */
#define NPT_FLAGS	(1 | 2 | 4)	/* present, writable, user */
#define NPT_LARGE	(1 << 7)

static struct {
	uint64_t pml4[512], pdpt[512], pd[512], pt[512];
} npt __attribute__((aligned(4096)));

static volatile uint64_t shown[512] __attribute__((aligned(4096)));
static volatile uint64_t behind[512] __attribute__((aligned(4096)));

static uint64_t gpa_of(struct kvm_vm *vm, volatile void *gva)
{
	return addr_gva2gpa(vm, (vm_vaddr_t)gva);
}

static void npt_fill(struct kvm_vm *vm)
{
	typeof(npt) *t = addr_gva2hva(vm, (vm_vaddr_t)&npt);
	uint64_t shown_gpa = gpa_of(vm, shown);

	TEST_ASSERT(shown_gpa < 1 << 21, "the page is at %#lx", shown_gpa);
	t->pml4[0] = gpa_of(vm, npt.pdpt) | NPT_FLAGS;
	t->pdpt[0] = gpa_of(vm, npt.pd) | NPT_FLAGS;
	for (uint64_t i = 0; i < 512; i++) {
		t->pdpt[i] = i ? i << 30 | NPT_FLAGS | NPT_LARGE : t->pdpt[0];
		t->pd[i] = i << 21 | NPT_FLAGS | NPT_LARGE;
		t->pt[i] = i << 12 | NPT_FLAGS;
	}
	t->pd[0] = gpa_of(vm, npt.pt) | NPT_FLAGS;
	t->pt[shown_gpa >> 12] = gpa_of(vm, behind) | NPT_FLAGS;
}

static void l2_reads(void)
{
	for (uint32_t i = 0; ; i++) {
		GUEST_ASSERT_EQ(ask_host(i), i + 1000);
		GUEST_ASSERT_EQ(shown[1], i);
		vmmcall();
	}
}

static void l1_with_npt(struct svm_test_data *svm, uint64_t cr3)
{
	l2_setup(svm, l2_reads);
	svm->vmcb->control.nested_ctl = 1;
	svm->vmcb->control.nested_cr3 = cr3;
	for (int i = 0; i < ROUNDS; i++) {
		shown[1] = 0xbad;
		behind[1] = i;
		l2_run(svm);
		GUEST_SYNC(i);
	}
	GUEST_DONE();
}

static void nested_paging(void)
{
	struct kvm_vcpu *vcpu = svm_ancestor(l1_with_npt);
	struct kvm_regs regs;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_NPT));
	npt_fill(vcpu->vm);
	vcpu_regs_get(vcpu, &regs);
	regs.rsi = gpa_of(vcpu->vm, npt.pml4);
	vcpu_regs_set(vcpu, &regs);

	for (uint32_t i = 0; i < ROUNDS; i++) {
		expect_io(vcpu, KVM_EXIT_IO_OUT);
		vcpu = succeed(vcpu);
		expect_io(vcpu, KVM_EXIT_IO_IN);
		*io_data(vcpu) = i + 1000;
		vcpu = succeed(vcpu);
		TEST_ASSERT(in_l2(vcpu), "the destination is not in L2");
		run_to_sync(vcpu, i);
		vcpu = succeed(vcpu);
	}
	run_to_done(vcpu);
}

static void l1_without_l2(struct svm_test_data *svm)
{
	l2_setup(svm, l2_asks);
	GUEST_SYNC(100);
	GUEST_ASSERT(rdmsr(MSR_EFER) & EFER_SVME);
	GUEST_ASSERT_EQ(rdmsr(MSR_VM_HSAVE_PA), svm->save_area_gpa);
	l2_run(svm);
	GUEST_DONE();
}

/* Moved between two worlds, the destination has to make all of the second. */
static void svme_without_l2(void)
{
	struct kvm_vcpu *vcpu = svm_ancestor(l1_without_l2);

	run_to_sync(vcpu, 100);
	vcpu = succeed(succeed(vcpu));
	expect_io(vcpu, KVM_EXIT_IO_OUT);
	expect_io(vcpu, KVM_EXIT_IO_IN);
	*io_data(vcpu) = 1000;
	run_to_done(vcpu);
}

static void count_interrupt(struct ex_regs *regs)
{
	if (!in_service(regs->vector))
		return;
	counted++;
	eoi();
}

static void l1_with_gif_clear(struct svm_test_data *svm)
{
	l2_setup(svm, l2_asks);
	lapic_enable();
	asm volatile("sti");
	clgi();
	GUEST_SYNC(1);
	for (int i = 0; i < 1000; i++)
		asm volatile("pause");
	GUEST_ASSERT_EQ(counted, 0);
	GUEST_SYNC(2);
	stgi();
	for (int i = 0; i < 1000; i++)
		asm volatile("pause");
	GUEST_ASSERT_EQ(counted, 1);
	GUEST_DONE();
}

/* An interrupt waits for STGI, in whichever VM that comes. */
static void gif_clear(void)
{
	struct kvm_msi msi = { .address_lo = APIC_DEFAULT_GPA, .data = VECTOR };
	struct kvm_vcpu *vcpu = svm_ancestor(l1_with_gif_clear);

	vm_install_exception_handler(vcpu->vm, VECTOR, count_interrupt);
	run_to_sync(vcpu, 1);
	TEST_ASSERT_EQ(__vm_ioctl(vcpu->vm, KVM_SIGNAL_MSI, &msi), 1);
	vcpu = succeed(succeed(vcpu));
	run_to_sync(vcpu, 2);
	vcpu = succeed(vcpu);
	run_to_done(vcpu);
}

static const struct claim claims[] = {
	CLAIM(pending_exits_of_l2, "L2 goes on after exits to the host, and exits to L1"),
	CLAIM(running_l2, "L2 goes on wherever it was moved"),
	CLAIM(nested_paging, "with L1's own nested page tables, too"),
	CLAIM(svme_without_l2, "SVM is on where L1 has not run a guest yet"),
	CLAIM(gif_clear, "GIF stays clear, and STGI lets in what waits"),
};

CLAIMS_MAIN(claims);
