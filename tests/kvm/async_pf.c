// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that knows asynchronous page faults does something else while a page
 * is owed, and whatever ends a wait is told to it, once.
 */
#include "async.h"
#include "claims.h"
#include "interrupts.h"
#include "paging.h"

#define PAGES	PAGING_PAGES
#define TASKS	16

static const uint32_t types[] = { KVM_X86_DEFAULT_VM, KVM_X86_SW_PROTECTED_VM };

/* The guest has been told of @n pages, and goes on with something else. */
static void expect_works(struct machine *m, uint64_t n)
{
	wait_for(&ASYNC(m, told), n);
	wait_for(&ASYNC(m, works), ASYNC(m, works) + 100);
	TEST_ASSERT_EQ(ASYNC(m, told), n);
}

static void expect_told(struct machine *m, uint64_t told, uint64_t ready)
{
	TEST_ASSERT_EQ(ASYNC(m, told), told);
	TEST_ASSERT_EQ(ASYNC(m, ready), ready);
}

/* One page of one task, asked for and not answered. */
static int one_waits(struct machine *m, struct runner *r, uint64_t page, uint64_t pattern)
{
	int pager = pager_of(m);

	async_start(m, r, async_tasks, page, 1, pattern);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, page, 1);
	expect_works(m, 1);
	return pager;
}

static void goes_on(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		struct machine *m = async_machine(types[i], PAGES);
		struct runner r;
		int pager = one_waits(m, &r, 5, 3);

		TEST_ASSERT_EQ(ASYNC(m, ready), 0UL);
		TEST_ASSERT(!has_event(pager, 0), "two events for a page");
		copy(pager, 3, 5, 1);
		TEST_ASSERT_EQ(async_end(m, &r), 1UL);
		expect_told(m, 1, 1);
		guest_expect(m, 5, 1, 3);
	}
}

static void many_at_once(void)
{
	struct machine *m = async_machine(KVM_X86_SW_PROTECTED_VM, PAGES);
	int pager = pager_of(m);
	struct runner r;

	async_start(m, &r, async_tasks, 0, TASKS, 7);
	for (uint64_t page = 0; page < TASKS; page++)
		expect_event(pager, KVM_GMEM_EVENT_FAULT, page, 1);
	expect_works(m, TASKS);
	/* Backwards; and the last ones by one answer. */
	for (uint64_t page = TASKS; page-- > 4; )
		copy(pager, 7, page, 1);
	copy(pager, 7, 0, 4);
	async_end(m, &r);
	expect_told(m, TASKS, TASKS);
	guest_expect(m, 0, TASKS, 7);
}

/* What KVM keeps for a vCPU is ASYNC_PF_PER_VCPU, 64: for the next one it waits. */
static void more_than_kvm_keeps(void)
{
	struct machine *m = async_machine(KVM_X86_SW_PROTECTED_VM, 2 * PAGES);
	int pager = pager_of(m);
	struct runner r;

	async_start(m, &r, async_tasks, 0, 80, 7);
	for (uint64_t page = 0; page < 65; page++)
		expect_event(pager, KVM_GMEM_EVENT_FAULT, page, 1);
	usleep(50000);
	expect_told(m, 64, 0);
	TEST_ASSERT(!has_event(pager, 0), "a 66th page is asked for");
	for (uint64_t page = 80; page-- > 0; )
		copy(pager, 7, page, 1);
	async_end(m, &r);
	TEST_ASSERT_EQ(ASYNC(m, told), ASYNC(m, ready));
}

static void halted(void)
{
	struct machine *m = async_machine(KVM_X86_SW_PROTECTED_VM, PAGES);
	int pager = pager_of(m);
	struct runner r;

	ASYNC(m, halts) = 1;
	async_start(m, &r, async_tasks, 0, TASKS, 2);
	for (uint64_t page = 0; page < TASKS; page++)
		expect_event(pager, KVM_GMEM_EVENT_FAULT, page, 1);
	wait_for(&ASYNC(m, told), TASKS);
	runner_sleeps(&r, IN_HALT);
	for (uint64_t page = 0; page < TASKS; page++) {
		copy(pager, 2, page, 1);
		wait_for(&ASYNC(m, ready), page + 1);
	}
	async_end(m, &r);
	expect_told(m, TASKS, TASKS);
}

/* Two tasks, one page. */
static void guest_code_both_look(uint64_t page)
{
	uint64_t first = 0, second = 0;

	GUEST_ASSERT(async_look(page, &first));
	GUEST_ASSERT(!async_look(page, &second));
	while (!async_ready)
		take_interrupts();
	GUEST_RETURN(second);
}

static void second_task(void)
{
	struct machine *m = async_machine(KVM_X86_SW_PROTECTED_VM, PAGES);
	int pager = pager_of(m);
	struct runner r;

	async_start(m, &r, guest_code_both_look, 9, 0, 0);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 9, 1);
	wait_for(&ASYNC(m, told), 1);
	usleep(50000);
	TEST_ASSERT(!r.ended, "the guest has the page");
	expect_told(m, 1, 0);
	copy(pager, 6, 9, 1);
	TEST_ASSERT_EQ(async_end(m, &r), pattern_word(6, 9, 0));
	expect_told(m, 1, 1);
}

/* The guest's look at a page has its vCPU wait, and nothing is told. */
static void expect_waits(struct machine *m, void *fn)
{
	uint64_t told = ASYNC(m, told);
	int pager = pager_of(m);
	struct runner r;

	async_start(m, &r, fn, 9, 1, 4);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 9, 1);
	usleep(50000);
	TEST_ASSERT(!r.ended, "the guest has the page");
	copy(pager, 4, 9, 1);
	async_end(m, &r);
	TEST_ASSERT_EQ(ASYNC(m, told), told);
}

static void waits_as_before(void)
{
	require_async();
	/* Interrupts are off. */
	expect_waits(async_machine(KVM_X86_SW_PROTECTED_VM, PAGES), guest_look);
	/* It never enabled them. */
	expect_waits(async_bare(KVM_X86_SW_PROTECTED_VM, PAGES), async_tasks);
}

static void waits_where_it_may_not_be_told(void)
{
	struct machine *m;

	require_async();
	m = async_bare(KVM_X86_SW_PROTECTED_VM, PAGES);
	async_enable(m, ASYNC_FLAGS);	/* not for the kernel of the guest */
	expect_waits(m, async_tasks);
	m = async_bare(KVM_X86_SW_PROTECTED_VM, PAGES);
	async_enable(m, ASYNC_FLAGS | KVM_ASYNC_PF_SEND_ALWAYS);
	async_enable(m, 0);
	expect_waits(m, async_tasks);
}

static const struct claim claims[] = {
	CLAIM(goes_on, "the guest works while a page is owed, and is told when it is there"),
	CLAIM(many_at_once, "many pages at once, answered in any order"),
	CLAIM(more_than_kvm_keeps, "for more than KVM keeps account of, the vCPU waits"),
	CLAIM(second_task, "for a second task that wants the page the vCPU waits"),
	CLAIM(halted, "a guest that halts is woken by each answer"),
	CLAIM(waits_as_before, "with interrupts off, or never enabled: the vCPU waits"),
	CLAIM(waits_where_it_may_not_be_told, "so it does where it is not to be told, or no more"),
};

CLAIMS_MAIN(claims);
