// SPDX-License-Identifier: GPL-2.0-only
/*
 * To KVM and to the hardware, a vCPU that waits for a page sleeps as in HLT. Hardware that
 * posts interrupts (AVIC, VMX) has nothing but kvm_vcpu_wake_up() to wake it; the lab's
 * CPUs have neither, but it is the same function that wakes the vCPU here, and that counts
 * whom it found asleep.
 */
#include "claims.h"
#include "counting.h"
#include "paging.h"
#include "private.h"
#include "runner.h"

#define PAGE	3

static struct machine *m;
static int pager, stats;

/* Takes interrupts while it looks. */
static void guest_code_look(void)
{
	lapic_enable();
	asm volatile("sti");
	GUEST_SYNC(*(volatile uint64_t *)page_gva(PAGE));
}

static void begin(struct runner *r)
{
	require_pager();
	m = machine_create(PAGING_PAGES);
	pager = pager_of(m);
	/* Not to be had while KVM_RUN has the vCPU. */
	stats = vcpu_get_stats_fd(m->vcpu);
	handle_counted(m->vm, count_interrupt);
	machine_prepare(m, guest_code_look, 0, 0, 0);
	runner_start(r, m->vcpu);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, PAGE, 1);
	/* Asked is not asleep yet. */
	runner_sleeps(r, IN_PAGER_WAIT);
}

static void end(struct runner *r)
{
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, PAGE, 1, NULL), 0);
	runner_wait(r);
}

/* A number that KVM tells of the vCPU. */
static uint64_t stat_of_vcpu(const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *descs;
	uint64_t value;

	read_stats_header(stats, &header);
	descs = read_stats_descriptors(stats, &header);
	for (uint32_t i = 0; i < header.num_desc; i++) {
		struct kvm_stats_desc *desc = get_stats_descriptor(descs, i, &header);

		if (strcmp(desc->name, name))
			continue;
		read_stat_data(stats, &header, desc, &value, 1);
		free(descs);
		return value;
	}
	TEST_FAIL("no statistics of %s", name);
	return 0;
}

static void counts_as_blocking(void)
{
	struct runner r;

	begin(&r);
	TEST_ASSERT_EQ(stat_of_vcpu("blocking"), 1UL);
	end(&r);
	TEST_ASSERT_EQ(stat_of_vcpu("blocking"), 0UL);
}

static void wake_up_finds_it(void)
{
	volatile uint64_t *count;
	struct runner r;
	uint64_t before;

	begin(&r);
	count = *GUEST_VARIABLE(m->vm, interrupt_counts);
	TEST_ASSERT_EQ(*count, 0UL);
	before = stat_of_vcpu("halt_wakeup");
	TEST_ASSERT_EQ(signal_msi(m->vm), 1);
	wait_for(count, 1);
	TEST_ASSERT(stat_of_vcpu("halt_wakeup") > before, "nobody was there to wake");
	end(&r);
}

static const struct claim claims[] = {
	CLAIM(counts_as_blocking, "it counts as blocking while it waits, and not afterwards"),
	CLAIM(wake_up_finds_it, "kvm_vcpu_wake_up() finds it, and an interrupt ends the wait"),
};

CLAIMS_MAIN(claims);
