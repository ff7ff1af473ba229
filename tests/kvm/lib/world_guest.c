// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that is told which of its pages to read or write, and what it sees.
 *
 * It goes through a range by itself. An exit to userspace in the midst of it says
 * what it saw of the page that it was at; then it starts again at the next one.
 */
#include "content.h"
#include "world.h"

static volatile uint64_t guest_saw[MODEL_PAGES];
static volatile uint64_t guest_at;

struct guest_order {
	enum operation_kind kind;
	unsigned long first;
	unsigned long nr;
	uint64_t base;
};

static struct guest_order guest_order;

/* The same by KVM, which emulates the instruction; of reading, the first and the last word. */
static uint64_t emulated_look(volatile uint64_t *page)
{
	uint64_t first, last;

	asm volatile(KVM_FEP "mov %1, %0" : "=r"(first) : "m"(page[0]));
	asm volatile(KVM_FEP "mov %1, %0" : "=r"(last) : "m"(page[CONTENT_WORDS - 1]));
	return last == content_word(first, CONTENT_WORDS - 1) ? first : SEES_TORN;
}

static void emulated_put(volatile uint64_t *page, uint64_t content)
{
	for (unsigned long i = 0; i < CONTENT_WORDS; i++)
		asm volatile(KVM_FEP "mov %1, %0" : "=m"(page[i]) : "r"(content_word(content, i)));
}

static uint64_t guest_access(volatile uint64_t *page, enum operation_kind kind, uint64_t content)
{
	switch (kind) {
	case OP_GUEST_WRITE:
		content_put(page, content);
		break;
	case OP_EMULATED_WRITE:
		emulated_put(page, content);
		break;
	case OP_EMULATED_READ:
		return emulated_look(page);
	default:
		break;
	}
	return content_look(page, page[0]);
}

static void guest_go_on(unsigned long next)
{
	volatile struct guest_order *order = &guest_order;

	for (unsigned long i = next; i < order->nr; i++) {
		volatile uint64_t *page = (void *)(MACHINE_GVA + (order->first + i) * PAGE_SIZE);

		guest_at = i;
		guest_saw[i] = guest_access(page, order->kind, content_of(order->base, i));
	}
	GUEST_RETURN(0);
}

/* Returns 0 or errno of KVM_RUN. */
static int run_from(struct machine *m, unsigned long next)
{
	struct kvm_regs regs = m->entry;

	regs.rip = (uint64_t)guest_go_on;
	regs.rdi = next;
	if (__vcpu_ioctl(m->vcpu, KVM_SET_REGS, &regs) || _vcpu_run(m->vcpu))
		return errno;
	return 0;
}

static uint64_t fault_sight(const struct kvm_run *run, uint64_t gpa)
{
	uint64_t flags = run->memory_fault.flags;

	if (run->exit_reason != KVM_EXIT_MEMORY_FAULT || run->memory_fault.gpa != gpa ||
	    run->memory_fault.size != PAGE_SIZE || flags & ~KVM_MEMORY_EXIT_FLAG_PRIVATE)
		return SEES_NONSENSE;
	return flags ? SEES_PRIVATE_FAULT : SEES_SHARED_FAULT;
}

/* What the guest saw that left with @err at @gpa. */
static uint64_t exit_sight(struct machine *m, uint64_t gpa, int err)
{
	struct kvm_run *run = m->vcpu->run;
	uint64_t sight = SEES_NONSENSE;

	if (err == EFAULT)
		sight = fault_sight(run, gpa);
	else if (!err && run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr == gpa)
		sight = SEES_DEVICE;

	if (!err && run->exit_reason == KVM_EXIT_MMIO)
		vcpu_run_complete_io(m->vcpu);
	if (sight == SEES_NONSENSE)
		printf("KVM_RUN: errno %d, exit reason %u (%s), not at gpa %#lx\n", err,
		       run->exit_reason, exit_reason_str(run->exit_reason), gpa);
	return sight;
}

void world_guest(struct machine *m, const struct operation *op, struct outcome *got)
{
	struct guest_order *order = addr_gva2hva(m->vm, (vm_vaddr_t)&guest_order);
	uint64_t *saw = addr_gva2hva(m->vm, (vm_vaddr_t)guest_saw);
	uint64_t *at = addr_gva2hva(m->vm, (vm_vaddr_t)&guest_at);
	unsigned long next = 0;

	*order = (struct guest_order){
		.kind = op->kind, .first = op->arg[1], .nr = op->arg[2], .base = got->base,
	};
	got->nr = order->nr;
	*at = 0;
	while (next < order->nr) {
		int err = run_from(m, next);

		if (!err && m->vcpu->run->exit_reason == KVM_EXIT_IO) {
			vcpu_run_complete_io(m->vcpu);
			break;
		}
		if (err == EIO) {
			saw[next++] = SEES_DEAD_VM;
			continue;
		}
		saw[*at] = exit_sight(m, MACHINE_GPA + (order->first + *at) * PAGE_SIZE, err);
		next = *at + 1;
	}
	memcpy(got->seen, saw, order->nr * sizeof(*saw));
	got->ret = 0;
}
