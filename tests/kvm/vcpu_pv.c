// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MOVE_VCPUS: what KVM and the guest tell each other in guest memory: kvmclock,
 * steal time, PV EOI, async page faults. All four are on one page here, in a memslot of its
 * own. None of it is touched before the destination's first KVM_RUN.
 */
#include <poll.h>

#include "claims.h"
#include "interrupts.h"
#include "runner.h"
#include "blocked_page.h"
#include "successor.h"
#include "ucall_common.h"

#include <asm/pvclock-abi.h>	/* needs the library's types */

#define SHARED		(1ULL << 32)	/* GPA and GVA */
#define SHARED_SLOT	10
#define VECTOR		0x41
#define APF_VECTOR	0x42
#define MOVES		10

struct shared {
	struct pvclock_vcpu_time_info clock;
	struct kvm_steal_time steal __aligned(64);
	struct kvm_vcpu_pv_apf_data apf __aligned(64);
	uint32_t eoi __aligned(64);
};

#define AT(member)	(SHARED + offsetof(struct shared, member))

static volatile struct shared *const shared = (void *)SHARED;
static volatile uint64_t counted, eois_saved, woken;	/* of the guest */

static void enable_steal(void)
{
	wrmsr(MSR_KVM_STEAL_TIME, AT(steal) | KVM_MSR_ENABLED);
}

static void enable_apf(void)
{
	wrmsr(MSR_KVM_ASYNC_PF_INT, APF_VECTOR);
	wrmsr(MSR_KVM_ASYNC_PF_EN, AT(apf) | KVM_ASYNC_PF_ENABLED |
	      KVM_ASYNC_PF_DELIVERY_AS_INT);
}

/* The token of all: who waits for any page is to try again. */
static void on_page_ready(struct ex_regs *regs)
{
	if (!in_service(regs->vector))
		return;
	GUEST_ASSERT_EQ(shared->apf.token, ~0U);
	woken++;
	shared->apf.token = 0;
	wrmsr(MSR_KVM_ASYNC_PF_ACK, 1);
	eoi();
}

/* As Linux does it: where the bit is set, clearing it is the EOI. An exit clears it too. */
static void on_interrupt(struct ex_regs *regs)
{
	if (__atomic_exchange_n(&shared->eoi, 0, __ATOMIC_SEQ_CST) & 1)
		eois_saved++;
	else if (in_service(regs->vector))
		eoi();
	else
		return;
	counted++;
}

static void map_shared(struct kvm_vm *vm)
{
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, SHARED, SHARED_SLOT, 1, 0);
	virt_map(vm, SHARED, SHARED, 1);
}

static struct kvm_vcpu *pv_ancestor(void *guest)
{
	struct kvm_vcpu *vcpu;

	require_move_vcpus();
	vcpu = ancestor(KVM_X86_DEFAULT_VM, guest);
	map_shared(vcpu->vm);
	vm_install_exception_handler(vcpu->vm, VECTOR, on_interrupt);
	vm_install_exception_handler(vcpu->vm, APF_VECTOR, on_page_ready);
	return vcpu;
}

static volatile struct shared *host_shared(struct kvm_vm *vm)
{
	return addr_gpa2hva(vm, SHARED);
}

static void tell_steal(void)
{
	uint64_t before = 0;

	enable_steal();
	for (;;) {
		GUEST_ASSERT(!(shared->steal.version & 1));
		GUEST_ASSERT_EQ(shared->steal.preempted, 0);
		GUEST_ASSERT(shared->steal.steal >= before);
		before = shared->steal.steal;
		GUEST_SYNC(before);
	}
}

/* What this thread has waited for a CPU, in ns. */
static uint64_t run_delay(void)
{
	unsigned long long run, delay = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "r");

	TEST_ASSERT(f && fscanf(f, "%llu %llu", &run, &delay) == 2, "read schedstat");
	fclose(f);
	return delay;
}

static uint64_t next_steal(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	TEST_ASSERT_EQ(run_once(vcpu), 0);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_SYNC);
	return uc.args[1];
}

static volatile bool spin;

static void *spinner(void *arg)
{
	while (spin)
		;
	return arg;
}

static void pin_to_cpu_0(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "sched_setaffinity");
}

/* On one CPU with another thread, so that this one waits. */
static void wait_for_cpu(void)
{
	uint64_t until = run_delay() + 50000000;
	pthread_t other;

	spin = true;
	TEST_ASSERT(!pthread_create(&other, NULL, spinner, NULL), "pthread_create");
	while (run_delay() < until)
		;
	spin = false;
	pthread_join(other, NULL);
}

/* Of what the thread waits, only what it waits from the move on, and never less. */
static void steal_time_does_not_jump(void)
{
	struct kvm_vcpu *vcpu = pv_ancestor(tell_steal);
	uint64_t before, after, waited;

	pin_to_cpu_0();
	before = next_steal(vcpu);
	for (int i = 0; i < MOVES; i++) {
		wait_for_cpu();
		waited = run_delay();
		vcpu = succeed(vcpu);
		after = next_steal(vcpu);
		waited = run_delay() - waited;
		TEST_ASSERT(after - before <= waited, "%lu ns stolen, %lu ns waited",
			    after - before, waited);
		before = after;
	}
	wait_for_cpu();
	after = next_steal(vcpu);
	TEST_ASSERT(after - before >= 50000000, "%lu ns stolen", after - before);
}

static void count_steal(void)
{
	enable_steal();
	GUEST_SYNC(1);
	for (;;) {
		GUEST_ASSERT_EQ(shared->steal.preempted, 0);
		counted++;
	}
}

/* KVM marks a vCPU that it takes off the CPU; the test does so where KVM did not. */
static void preempted_is_cleared(void)
{
	struct kvm_vcpu *vcpu = pv_ancestor(count_steal);
	volatile uint64_t *count = GUEST_VARIABLE(vcpu->vm, counted);
	volatile struct shared *s = host_shared(vcpu->vm);
	struct runner r;
	struct ucall uc;

	run_to_sync(vcpu, 1);
	for (int i = 0; i < MOVES; i++) {
		runner_start(&r, vcpu);
		wait_for(count, *count + 1);
		if (runner_stop(&r) && get_ucall(vcpu, &uc) == UCALL_ABORT)
			REPORT_GUEST_ASSERT(uc);
		s->steal.preempted = KVM_VCPU_PREEMPTED;
		vcpu = succeed(vcpu);
		TEST_ASSERT_EQ(s->steal.preempted, KVM_VCPU_PREEMPTED);
	}
}

static void pv_eoi_guest(void)
{
	lapic_enable();
	wrmsr(MSR_KVM_PV_EOI_EN, AT(eoi) | KVM_MSR_ENABLED);
	GUEST_SYNC(1);
	for (;;)
		take_interrupts();
}

static void pv_eoi(void)
{
	struct kvm_msi msi = { .address_lo = APIC_DEFAULT_GPA, .data = VECTOR };
	struct kvm_vcpu *vcpu = pv_ancestor(pv_eoi_guest);
	volatile uint64_t *count = GUEST_VARIABLE(vcpu->vm, counted);
	volatile uint64_t *saved = GUEST_VARIABLE(vcpu->vm, eois_saved);
	uint64_t sent = 0;
	struct runner r;

	run_to_sync(vcpu, 1);
	for (int i = 0; i < MOVES; i++) {
		uint64_t before = *saved;

		vcpu = succeed(vcpu);
		TEST_ASSERT_EQ(vcpu_get_msr(vcpu, MSR_KVM_PV_EOI_EN), AT(eoi) | KVM_MSR_ENABLED);
		runner_start(&r, vcpu);
		for (int j = 0; j < 50; j++) {
			TEST_ASSERT_EQ(__vm_ioctl(vcpu->vm, KVM_SIGNAL_MSI, &msi), 1);
			wait_for(count, ++sent);
		}
		TEST_ASSERT(!runner_stop(&r), "exit reason %u", vcpu->run->exit_reason);
		TEST_ASSERT(*saved > before, "no EOI was saved in the destination");
	}
	TEST_ASSERT_EQ(*count, sent);
}

static void apf_guest(void)
{
	lapic_enable();
	enable_apf();
	while (!woken)
		take_interrupts();
	GUEST_SYNC(1);
	for (;;)
		halt();
}

static void run_to_woken(struct kvm_vcpu *vcpu, uint64_t n)
{
	volatile uint64_t *count = GUEST_VARIABLE(vcpu->vm, woken);
	struct runner r;
	struct ucall uc;

	runner_start(&r, vcpu);
	wait_for(count, n);
	usleep(50000);
	if (runner_stop(&r) && get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(!r.ended, "exit reason %u", vcpu->run->exit_reason);
	TEST_ASSERT_EQ(*count, n);
}

static void all_are_woken(void)
{
	struct kvm_vcpu *vcpu = pv_ancestor(apf_guest);

	run_to_sync(vcpu, 1);
	for (int i = 0; i < MOVES; i++) {
		vcpu = succeed(vcpu);
		run_to_woken(vcpu, 2 + i);
	}
	/* Twice before it ran is once. */
	vcpu = succeed(succeed(vcpu));
	run_to_woken(vcpu, 2 + MOVES);
}

/* Bit 9: the kernel has warned. */
static bool kernel_has_warned(void)
{
	unsigned long tainted = 0;
	FILE *f = fopen("/proc/sys/kernel/tainted", "r");

	TEST_ASSERT(f && fscanf(f, "%lu", &tainted) == 1, "tainted");
	fclose(f);
	return tainted & (1 << 9);
}

/* By the host, where KVM does not know yet where the guest is told. */
static void acknowledged_before_it_runs(void)
{
	struct kvm_vcpu *vcpu = pv_ancestor(apf_guest);
	bool warned = kernel_has_warned();

	run_to_sync(vcpu, 1);
	for (int i = 0; i < MOVES; i++) {
		vcpu = succeed(vcpu);
		TEST_ASSERT_EQ(_vcpu_set_msr(vcpu, MSR_KVM_ASYNC_PF_ACK, 1), 1);
		TEST_ASSERT(warned || !kernel_has_warned(), "the kernel has warned");
		run_to_woken(vcpu, 2 + i);
	}
}

static void no_apf_guest(void)
{
	lapic_enable();
	GUEST_SYNC(1);
	for (;;)
		take_interrupts();
}

static void none_is_woken(void)
{
	struct kvm_vcpu *vcpu = pv_ancestor(no_apf_guest);

	run_to_sync(vcpu, 1);
	vcpu = succeed(vcpu);
	TEST_ASSERT(!run_for(vcpu, 200), "exit reason %u", vcpu->run->exit_reason);
	TEST_ASSERT_EQ(*GUEST_VARIABLE(vcpu->vm, woken), 0UL);
}

static void all_of_it(void)
{
	lapic_enable();
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, AT(clock) | KVM_MSR_ENABLED);
	wrmsr(MSR_KVM_PV_EOI_EN, AT(eoi) | KVM_MSR_ENABLED);
	enable_steal();
	enable_apf();
	while (!woken)
		take_interrupts();
	GUEST_SYNC(1);
	while (woken < 2)
		take_interrupts();
	GUEST_ASSERT(shared->clock.version && !(shared->clock.version & 1));
	GUEST_ASSERT(shared->steal.version && !(shared->steal.version & 1));
	GUEST_DONE();
}

static void replace_slot(struct kvm_vm *vm, void *where)
{
	struct kvm_userspace_memory_region region = {
		.slot = SHARED_SLOT,
		.guest_phys_addr = SHARED,
		.userspace_addr = (uint64_t)where,
	};

	vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
	region.memory_size = PAGE_SIZE;
	vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static bool touched(struct blocked_page *s, int ms)
{
	struct pollfd p = { .fd = s->uffd, .events = POLLIN };

	return poll(&p, 1, ms) == 1 && p.revents == POLLIN;
}

/* In the destination the page is on a userfaultfd that nobody serves for now. */
static void untouched_before_it_runs(void)
{
	struct kvm_vcpu *src = pv_ancestor(all_of_it), *dst;
	struct shared copy;
	struct kvm_regs regs;
	struct blocked_page blocked;
	struct runner r;
	struct ucall uc;

	run_to_sync(src, 1);
	memcpy(&copy, (void *)host_shared(src->vm), sizeof(copy));
	dst = successor(src);
	blocked_page_init(&blocked);
	TEST_ASSERT(!fcntl(blocked.uffd, F_SETFL, O_NONBLOCK), "fcntl");
	replace_slot(dst->vm, blocked.page);

	move_vcpus(dst->vm, src->vm);
	vcpu_regs_get(dst, &regs);
	vcpu_get_msr(dst, MSR_KVM_STEAL_TIME);
	TEST_ASSERT(!touched(&blocked, 100), "touched before KVM_RUN");
	TEST_ASSERT(!memcmp(&copy, (void *)host_shared(src->vm), sizeof(copy)),
		    "written through the source's memslot");

	runner_start(&r, dst);
	TEST_ASSERT(touched(&blocked, claim_patience() * 1000), "not touched by KVM_RUN");
	TEST_ASSERT(!r.ended, "KVM_RUN did not wait");
	blocked_page_let_go(&blocked, &copy, sizeof(copy));
	runner_wait(&r);
	if (get_ucall(dst, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_DONE);
}

static const struct claim claims[] = {
	CLAIM(steal_time_does_not_jump, "a move is not stolen time, and what is stolen later is"),
	CLAIM(preempted_is_cleared, "the mark of a preempted vCPU is gone when it runs"),
	CLAIM(pv_eoi, "EOIs by memory go on"),
	CLAIM(all_are_woken, "who waits for an async page fault is woken, once a run"),
	CLAIM(acknowledged_before_it_runs, "also if the VMM acknowledges before KVM_RUN; no WARN"),
	CLAIM(none_is_woken, "and no interrupt comes where there are no async page faults"),
	CLAIM(untouched_before_it_runs, "a move touches none of it, nor waits for its page"),
};

CLAIMS_MAIN(claims);
