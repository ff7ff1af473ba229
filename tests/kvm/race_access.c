// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's own accesses to pages that are punched and converted meanwhile.
 */
#include <asm/kvm_para.h>
#include <errno.h>
#include <string.h>

#include "claims.h"
#include "stress.h"
#include "private.h"
#include "reuse.h"

#define PAGES	8
#define CLOCK	0	/* pages: of kvmclock, of steal time, and the guest's own */
#define STEAL	1
#define FIRST	2
#define VALUE	0xa5a5a5a5a5a5a5a5
#define REUSE_PAGES	64

static struct private p;

static void guest_code_begin(void)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, page_gpa(CLOCK) | KVM_MSR_ENABLED);
	wrmsr(MSR_KVM_STEAL_TIME, page_gpa(STEAL) | KVM_MSR_ENABLED);
	GUEST_RETURN(0);
}

/* What is read is what someone wrote, whichever page it was. */
static void guest_code_use(void)
{
	for (uint64_t page = FIRST; page < PAGES; page++) {
		volatile uint64_t *at = page_gva(page);
		uint64_t got, old = 0;

		asm volatile(KVM_FEP "mov %1, %0" : "=m"(*at) : "r"(VALUE));
		asm volatile(KVM_FEP "mov %1, %0" : "=r"(got) : "m"(*at));
		__GUEST_ASSERT(!got || got == VALUE || got == 0x0101010101010101UL * BEHIND,
			       "page %lu has %lx", page, got);
		asm volatile(KVM_FEP "lock; cmpxchg %2, %1"
			     : "+a"(old), "+m"(at[1]) : "r"(VALUE));
	}
	GUEST_RETURN(0);
}

static void use(void *arg __attribute__((unused)))
{
	int err = machine_try(p.m, guest_code_use, 0, 0, 0);

	/* A conversion between the guest's own touch and its fault. */
	if (err == EFAULT && p.m->vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		return;
	TEST_ASSERT(!err, "KVM_RUN: errno %d", err);
	TEST_ASSERT(p.m->said.cmd != UCALL_ABORT, "the guest read what nobody wrote: %s",
		    p.m->said.buffer);
}

static void clock(void *arg __attribute__((unused)))
{
	touch_clock(p.m);
}

static void punch(void *arg __attribute__((unused)))
{
	punch_pages(p.m->view, 0, PAGES);
}

static void convert(void *arg __attribute__((unused)))
{
	static unsigned int n;
	uint64_t page = n++ % PAGES;

	vm_mem_set_shared(p.m->vm, page_gpa(page), PAGE_SIZE);
	vm_mem_set_private(p.m->vm, page_gpa(page), PAGE_SIZE);
}

static void next_owner(void *arg)
{
	reuse_take(arg);
	usleep(1000);
	reuse_give_back(arg);
}

static void holes_and_conversions(void)
{
	struct reuse reuse;
	const struct stress_op ops[] = {
		{ "use", use, NULL },
		{ "clock", clock, NULL },
		{ "punch", punch, NULL },
		{ "convert", convert, NULL },
		{ "next owner", next_owner, &reuse },
	};

	allow_forced_emulation();
	reuse_init(&reuse, REUSE_PAGES);
	p = private_create(PAGES);
	machine_call(p.m, guest_code_begin, 0, 0, 0);
	STRESS(ops);
	machine_free(p.m);
}

static const struct claim claims[] = {
	CLAIM(holes_and_conversions,
	      "emulation, kvmclock and steal time touch no page that was freed or converted"),
};

CLAIMS_MAIN(claims);
