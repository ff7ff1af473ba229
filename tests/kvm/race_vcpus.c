// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves of vCPUs that run, by several at once: the guest has one owner at every
 * instant, and never none.
 *
 * The guest counts in a register and in memory at once. Two VMs that ran it at
 * the same time, or one that ran it from an old state, would have the register
 * and the memory differ.
 */
#include <pthread.h>

#include "claims.h"
#include "machine.h"
#include "successor.h"

#define MOVERS	3

static volatile uint64_t counter;	/* of the guest */

static void counts(void)
{
	for (uint64_t i = 0; ; i++) {
		__GUEST_ASSERT(counter == i, "%lu in memory, %lu in a register", counter, i);
		counter = i + 1;
		if (!(i % 64))
			outl(0x80, 0);
	}
}

/**
 * struct owner - a VM that may come to own the guest
 * @vcpu: its vCPU
 * @src: the VM that it moves from
 * @error: of the move
 * @mover: who moves
 */
struct owner {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *src;
	int error;
	pthread_t mover;
};

/* Runs the guest until it is moved away. */
static void *run(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;
	int err;

	while (!(err = run_once(vcpu))) {
		if (vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == 0x80)
			continue;
		if (get_ucall(vcpu, &uc) == UCALL_ABORT)
			REPORT_GUEST_ASSERT(uc);
		TEST_FAIL("exit reason %u", vcpu->run->exit_reason);
	}
	TEST_ASSERT(err == EIO, "KVM_RUN: errno %d (%s)", err, strerror(err));
	return NULL;
}

static void *move(void *arg)
{
	struct owner *owner = arg;

	owner->error = __move_vcpus(owner->vcpu->vm, owner->src) ? errno : 0;
	return NULL;
}

static uint64_t *host_counter(struct kvm_vm *vm)
{
	return addr_gva2hva(vm, (vm_vaddr_t)&counter);
}

/* All at once; returns who has the guest now. */
static struct kvm_vcpu *one_of(struct owner *owners, struct kvm_vcpu *src)
{
	struct kvm_vcpu *winner = NULL;

	for (unsigned int i = 0; i < MOVERS; i++) {
		owners[i] = (struct owner){ .vcpu = successor(src), .src = src->vm };
		TEST_ASSERT(!pthread_create(&owners[i].mover, NULL, move, &owners[i]), "thread");
	}
	for (unsigned int i = 0; i < MOVERS; i++) {
		pthread_join(owners[i].mover, NULL);
		if (!owners[i].error) {
			TEST_ASSERT(!winner, "two moves of one source succeeded");
			winner = owners[i].vcpu;
			continue;
		}
		TEST_ASSERT(owners[i].error == EBUSY || owners[i].error == EIO,
			    "errno %d (%s)", owners[i].error, strerror(owners[i].error));
		close_vm(owners[i].vcpu->vm);
	}
	return winner;
}

static void one_owner(unsigned long type, unsigned int moves)
{
	struct kvm_vcpu *vcpu = ancestor(type, counts), *next;
	struct owner owners[MOVERS];
	uint64_t before = 0, now;
	pthread_t runner;

	pthread_create(&runner, NULL, run, vcpu);
	for (unsigned int i = 0; i < moves; i++) {
		/* It gets somewhere under each owner. */
		while ((now = *(volatile uint64_t *)host_counter(vcpu->vm)) <= before + 10)
			usleep(100);
		before = now;

		do {
			next = one_of(owners, vcpu);
		} while (!next);

		/* The old owner's thread may be in KVM_RUN still. */
		pthread_t old = runner;

		pthread_create(&runner, NULL, run, next);
		pthread_join(old, NULL);
		close_vm(vcpu->vm);
		vcpu = next;
	}
	printf("%u moves, %lu counted\n", moves, before);
}

static void several_movers(void)
{
	require_move_vcpus();
	TYPES(type)
		one_owner(type, 60);
}

static const struct claim claims[] = {
	SLOW_CLAIM(several_movers, 240,
		   "of three moves of a running vCPU one succeeds, and the guest has one owner"),
};

CLAIMS_MAIN(claims);
