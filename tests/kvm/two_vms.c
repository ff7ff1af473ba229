// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations that lock two VMs, against each other: each in both directions,
 * so that any two that lock in another order, or by another flag, stand still.
 * The ones that succeed for encrypted VMs only fail here after they had the
 * locks: tests/sev/two_vms has them succeed.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "claims.h"
#include "held_lock.h"
#include "machine.h"
#include "successor.h"

/* By a default VM, a move without flags is SEV's; by a software-protected one, ours. */
static const struct operation {
	const char *name;
	uint32_t cap;
	uint64_t flags;
} operations[] = {
	{ "move", KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, 0 },
	{ "move with vCPUs", KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, KVM_MOVE_VCPUS },
	{ "mirror", KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, 0 },
};

#define OPERATIONS ARRAY_SIZE(operations)

/* What is SEV's alone is EINVAL on Intel, before it locks anything. */
static bool locks_vms(const struct operation *op, unsigned long type)
{
	return host_cpu_is_amd || op->flags ||
	       (op->cap == KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM && type == KVM_X86_SW_PROTECTED_VM);
}

static struct kvm_enable_cap args_of(const struct operation *op, struct kvm_vm *src)
{
	return (struct kvm_enable_cap){ .cap = op->cap, .args = { src->fd, op->flags } };
}

static int operate(const struct operation *op, struct kvm_vm *dst, struct kvm_vm *src)
{
	struct kvm_enable_cap cap = args_of(op, src);

	return __vm_ioctl(dst, KVM_ENABLE_CAP, &cap);
}

/* Its only vCPU has another id than the other's: KVM_MOVE_VCPUS of them fails, late. */
static struct kvm_vm *vm_with_vcpu(unsigned long type, uint32_t id)
{
	struct kvm_vm *vm = ____vm_create((struct vm_shape){
		.mode = VM_MODE_DEFAULT, .type = type,
	});

	__vm_vcpu_add(vm, id);
	/* Nor does one without flags succeed. */
	if (type == KVM_X86_SW_PROTECTED_VM)
		vm_mem_set_private(vm, MACHINE_GPA, PAGE_SIZE);
	return vm;
}

/* Another operation is in progress, and waits for a vCPU. */
static void refused(const struct operation *op, struct kvm_vm *dst, struct kvm_vm *src)
{
	struct kvm_enable_cap cap = args_of(op, src);
	struct async_ioctl mover;
	double until = 0;

	/* By a process of its own: one that waits for a lock is to be seen to. */
	async_ioctl_start(&mover, dst->fd, KVM_ENABLE_CAP, (unsigned long)&cap);
	while (!async_ioctl_is_done(&mover))
		TEST_ASSERT(claim_is_patient(&until), "%s is not refused, but waits", op->name);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), -EBUSY);
}

static void refused_meanwhile(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct kvm_vm *a = vm_with_vcpu(type, 0), *b = vm_with_vcpu(type, 1);
		struct kvm_enable_cap cap = args_of(&operations[1], a);
		struct kvm_vcpu *vcpu = list_first_entry(&a->vcpus, struct kvm_vcpu, list);
		struct kvm_vm *c = vm_with_vcpu(type, 2);
		struct async_ioctl mover;
		struct held_lock h;

		held_lock_init(&h);
		held_lock_take(&h, vcpu->fd, KVM_GET_REGS, h.blocked.page);
		async_ioctl_start(&mover, b->fd, KVM_ENABLE_CAP, (unsigned long)&cap);
		async_ioctl_blocked(&mover);
		for (size_t i = 0; i < OPERATIONS; i++) {
			if (!locks_vms(&operations[i], type))
				continue;
			refused(&operations[i], a, b);
			refused(&operations[i], b, a);
			refused(&operations[i], a, c);
			refused(&operations[i], c, a);
			refused(&operations[i], b, c);
			refused(&operations[i], c, b);
		}
		TEST_ASSERT_EQ(held_lock_let_go(&h, NULL, 0), 0);
		TEST_ASSERT_EQ(async_ioctl_result(&mover), -EINVAL);
	}
}

/**
 * struct side - one of two threads
 * @op: what it does
 * @dst: to this VM
 * @src: from this one
 * @rounds: how often it has
 */
struct side {
	const struct operation *op;
	struct kvm_vm *dst, *src;
	atomic_ulong rounds;
};

static atomic_bool stop;

static void *side_main(void *arg)
{
	struct side *side = arg;

	while (!atomic_load(&stop)) {
		TEST_ASSERT(operate(side->op, side->dst, side->src) == -1 &&
			    (errno == EINVAL || errno == EBUSY),
			    "%s: errno %d", side->op->name, errno);
		atomic_fetch_add(&side->rounds, 1);
	}
	return NULL;
}

static unsigned long rounds(const struct side *sides)
{
	return atomic_load(&sides[0].rounds) + atomic_load(&sides[1].rounds);
}

/* Either may be refused most of the time; but one of them gets on. */
static void against(const struct operation *op, const struct operation *other,
		    struct kvm_vm *a, struct kvm_vm *b)
{
	struct side sides[2] = {
		{ .op = op, .dst = a, .src = b },
		{ .op = other, .dst = b, .src = a },
	};
	unsigned long before = 0;
	pthread_t threads[2];

	atomic_store(&stop, false);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, side_main, &sides[i]);
	for (int i = 0; i < 10; i++) {
		double until = 0;

		while (rounds(sides) < before + 20)
			TEST_ASSERT(claim_is_patient(&until),
				    "%s and %s the other way round stand still", op->name,
				    other->name);
		before = rounds(sides);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static void both_ways(void)
{
	require_move_vcpus();
	TYPES(type) {
		struct kvm_vm *a = vm_with_vcpu(type, 0), *b = vm_with_vcpu(type, 1);

		for (size_t i = 0; i < OPERATIONS; i++) {
			for (size_t j = 0; j < OPERATIONS; j++)
				against(&operations[i], &operations[j], a, b);
		}
	}
}

static const struct claim claims[] = {
	CLAIM(refused_meanwhile, "while a move is in progress, all that locks either VM is EBUSY"),
	SLOW_CLAIM(both_ways, 120, "each operation on two VMs against each, in both directions"),
};

CLAIMS_MAIN(claims);
