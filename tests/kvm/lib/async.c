// SPDX-License-Identifier: GPL-2.0-only
/* A guest that knows asynchronous page faults: see async.h. */
#include <asm/kvm_para.h>
#include <asm/processor-flags.h>

#include "async.h"
#include "interrupts.h"
#include "mapped.h"
#include "paging.h"
#include "private.h"

#define PF_VECTOR	14
#define READY_VECTOR	0x52
#define IDS		4096

volatile uint64_t async_told, async_ready, async_woken, async_works, async_halts;

/* Of the guest: the latest tokens, by the number in them; the one that came last. */
static volatile enum { NOBODY, WAITS, READY } states[IDS];
static volatile uint32_t last_token;

static volatile struct kvm_vcpu_pv_apf_data *area(void)
{
	return (void *)ASYNC_AREA;
}

static uint32_t id_of(uint32_t token)
{
	return (token >> 12) % IDS;
}

/* The task that looked is left where it is: the scheduler will have it look again. */
static void on_page_fault(struct ex_regs *regs)
{
	uint64_t token;

	asm volatile("mov %%cr2, %0" : "=r"(token));
	__GUEST_ASSERT(area()->flags == KVM_PV_REASON_PAGE_NOT_PRESENT, "#PF at %lx, cr2 %lx",
		       regs->rip, token);
	area()->flags = 0;
	__GUEST_ASSERT(regs->rip + 3 == regs->r11, "told at %lx", regs->rip);
	regs->rip = regs->r11;

	GUEST_ASSERT(states[id_of(token)] != WAITS);
	states[id_of(token)] = WAITS;
	last_token = token;
	async_told++;
}

static void wake(uint32_t token)
{
	if (token == ~0U) {
		for (uint32_t id = 0; id < IDS; id++)
			if (states[id] == WAITS)
				states[id] = READY;
		async_woken++;
		return;
	}
	__GUEST_ASSERT(states[id_of(token)] == WAITS, "token %x is ready, and was %u", token,
		       states[id_of(token)]);
	states[id_of(token)] = READY;
	async_ready++;
}

/* Where the lab delivers it twice there is no token, or nothing in service. */
static void on_page_ready(struct ex_regs *regs)
{
	uint32_t token;

	if (!in_service(regs->vector))
		return;
	token = __atomic_exchange_n(&area()->token, 0, __ATOMIC_SEQ_CST);
	if (token) {
		wake(token);
		wrmsr(MSR_KVM_ASYNC_PF_ACK, 1);
	}
	eoi();
}

/* The handler goes on behind the access, which is of 3 bytes. */
noinline uint32_t async_look(uint64_t page, uint64_t *value)
{
	last_token = 0;
	asm volatile("lea 1f(%%rip), %%r11\n\t"
		     "sti\n\t"
		     "nop\n\t"
		     "mov (%1), %0\n"
		     "1:\n\t"
		     "cli"
		     : "=a"(*value) : "D"(page_gva(page)) : "r11", "memory");
	return last_token;
}

/* Of the guest's tasks: what each waits for, and who is done. */
static uint32_t tokens[PAGING_PAGES * 2];
static bool done[PAGING_PAGES * 2];

static bool can_go_on(uint64_t page)
{
	return !done[page] && (!tokens[page] || states[id_of(tokens[page])] == READY);
}

static bool any_can_go_on(uint64_t first, uint64_t n)
{
	for (uint64_t page = first; page < first + n; page++)
		if (can_go_on(page))
			return true;
	return false;
}

/* Whether it is done. */
static bool go_on(uint64_t page, uint64_t pattern)
{
	uint64_t value;

	tokens[page] = async_look(page, &value);
	if (tokens[page])
		return false;
	__GUEST_ASSERT(value == pattern_word(pattern, page, 0), "page %lu has %lx", page, value);
	done[page] = true;
	return true;
}

void async_tasks(uint64_t first, uint64_t n, uint64_t pattern)
{
	uint64_t left = n;

	for (uint64_t page = first; page < first + n; page++) {
		tokens[page] = 0;
		done[page] = false;
	}
	while (left) {
		for (uint64_t page = first; page < first + n; page++)
			if (can_go_on(page))
				left -= go_on(page, pattern);
		async_works++;
		if (async_halts && left && !any_can_go_on(first, n))
			halt();
		else
			take_interrupts();
	}
	GUEST_RETURN(async_told);
}

void require_async(void)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_PAGER_ASYNC,
		       "these modules have no asynchronous waiting for a pager");
}

struct machine *async_bare(uint32_t type, uint64_t npages)
{
	struct machine *m;

	m = type == KVM_X86_SW_PROTECTED_VM ? machine_create(npages) :
					      mapped_create(type, npages, MMAP_SHARED);
	vm_userspace_mem_region_add(m->vm, VM_MEM_SRC_ANONYMOUS, ASYNC_AREA, ASYNC_SLOT, 1, 0);
	virt_map(m->vm, ASYNC_AREA, ASYNC_AREA, 1);
	/* On Intel they are enabled from the start, see interruptible.c. */
	m->entry.rflags &= ~X86_EFLAGS_IF;
	vm_install_exception_handler(m->vm, PF_VECTOR, on_page_fault);
	vm_install_exception_handler(m->vm, READY_VECTOR, on_page_ready);
	return m;
}

/* KVM wakes all who wait when it is enabled. */
static void guest_code_enable(uint64_t value)
{
	uint64_t before = async_woken;

	lapic_enable();
	wrmsr(MSR_KVM_ASYNC_PF_INT, READY_VECTOR);
	wrmsr(MSR_KVM_ASYNC_PF_EN, value);
	while (value && async_woken == before)
		take_interrupts();
	GUEST_RETURN(0);
}

void async_enable(struct machine *m, uint64_t flags)
{
	machine_call(m, guest_code_enable, flags ? ASYNC_AREA | flags : 0, 0, 0);
}

struct machine *async_machine(uint32_t type, uint64_t npages)
{
	struct machine *m;

	require_async();
	m = async_bare(type, npages);
	async_enable(m, ASYNC_FLAGS | KVM_ASYNC_PF_SEND_ALWAYS);
	return m;
}

void async_start(struct machine *m, struct runner *r, void *fn, uint64_t a, uint64_t b,
		 uint64_t c)
{
	machine_prepare(m, fn, a, b, c);
	runner_start(r, m->vcpu);
}

uint64_t async_end(struct machine *m, struct runner *r)
{
	runner_wait(r);
	if (get_ucall(m->vcpu, &m->said) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(m->said);
	TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_IO);
	vcpu_run_complete_io(m->vcpu);
	return *GUEST_VARIABLE(m->vm, guest_result);
}

void async_fails(struct machine *m, struct runner *r, int err)
{
	pthread_join(r->thread, NULL);
	TEST_ASSERT(r->err == err, "KVM_RUN: errno %d, not %d", r->err, err);
	TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_MEMORY_FAULT);
}
