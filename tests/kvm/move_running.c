// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that runs on through moves: each is asked for while the source's
 * vCPU is in KVM_RUN, and the destination's goes on where that one was.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "async_ioctl.h"
#include "claims.h"
#include "moving.h"

#define PAGES	64
#define MOVES	200
#define PORT	0x7e		/* by which the guest says that its memory is wrong */
#define STATE	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

static volatile uint64_t guest_rounds;	/* of each guest its own */

static uint64_t churned(uint64_t round, uint64_t page, uint64_t word)
{
	return round ? round * 0x9e3779b97f4a7c15 ^ page << 16 ^ word : 0;
}

/*
 * Round and round: each word is as the last round has left it, and gets a new
 * value. In general registers alone, which are what the vCPU hands over.
 */
static __attribute__((target("general-regs-only"))) void guest_churn(void)
{
	for (uint64_t round = 1;; round++) {
		for (uint64_t page = 0; page < PAGES; page++) {
			volatile uint64_t *p = (void *)(MACHINE_GVA + page * PAGE_SIZE);

			for (uint64_t i = page % 8; i < PAGE_SIZE / sizeof(*p); i += 8) {
				uint64_t got = p[i];

				if (got != churned(round - 1, page, i))
					asm volatile("out %%al, %0" : : "i"(PORT), "a"(0),
						     "b"(page), "c"(i), "S"(round), "D"(got));
				p[i] = churned(round, page, i);
			}
		}
		guest_rounds = round;
	}
}

/* The thread of a machine's vCPU. */
struct runner {
	struct machine *m;
	pthread_t thread;
};

static void nothing(int signal __attribute__((unused)))
{
}

static void *runner_main(void *arg)
{
	struct machine *m = arg;
	struct kvm_run *run = m->vcpu->run;
	struct kvm_regs *regs = &run->s.regs.regs;

	run->kvm_valid_regs = STATE;
	while (!READ_ONCE(run->immediate_exit)) {
		int ret = __vcpu_run(m->vcpu);

		TEST_ASSERT(ret || run->exit_reason != KVM_EXIT_IO,
			    "page %llu word %llu is %llx in round %llu", regs->rbx, regs->rcx,
			    regs->rdi, regs->rsi);
		TEST_ASSERT(ret && errno == EINTR, "KVM_RUN: %d, errno %d, exit reason %u", ret,
			    errno, run->exit_reason);
	}
	return NULL;
}

static void runner_start(struct runner *r, struct machine *m)
{
	r->m = m;
	pthread_create(&r->thread, NULL, runner_main, m);
}

/* Gets the vCPU out of the guest, as a VMM does; its state is in the run page. */
static void runner_stop(struct runner *r)
{
	WRITE_ONCE(r->m->vcpu->run->immediate_exit, 1);
	pthread_kill(r->thread, SIGUSR1);
	pthread_join(r->thread, NULL);
}

static uint64_t rounds(struct machine *m)
{
	return READ_ONCE(*(uint64_t *)addr_gva2hva(m->vm, (vm_vaddr_t)&guest_rounds));
}

static void wait_for_round(struct machine *m, uint64_t round)
{
	while (rounds(m) < round)
		usleep(1000);
}

/* What the VMM has to carry: the vCPU's state, and the memory that is shared. */
static void carry(struct machine *b, struct machine *a)
{
	struct userspace_mem_region *from = memslot2region(a->vm, 0);
	struct userspace_mem_region *to = memslot2region(b->vm, 0);
	struct kvm_sync_regs *state = &a->vcpu->run->s.regs;

	TEST_ASSERT_EQ(to->mmap_size, from->mmap_size);
	memcpy(to->mmap_start, from->mmap_start, from->mmap_size);
	vcpu_sregs_set(b->vcpu, &state->sregs);
	vcpu_events_set(b->vcpu, &state->events);
	vcpu_regs_set(b->vcpu, &state->regs);
}

static struct machine *move_while_running(struct machine *a, struct runner *r)
{
	struct machine *b = destination(a);
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
		.args = { a->vm->fd },
	};
	struct async_ioctl mover;

	/* It runs, and goes on to do so until it is told to stop. */
	wait_for_round(a, rounds(a) + 1);
	async_ioctl_start(&mover, b->vm->fd, KVM_ENABLE_CAP, (unsigned long)&cap);
	async_ioctl_blocked(&mover);
	wait_for_round(a, rounds(a) + 1);
	runner_stop(r);
	TEST_ASSERT_EQ(async_ioctl_result(&mover), 0);
	TEST_ERRNO(ioctl(a->vcpu->fd, KVM_RUN, NULL), EIO);
	carry(b, a);
	runner_start(r, b);
	machine_release(a);
	return b;
}

static void chain(void)
{
	struct machine *m;
	struct runner r;

	require_move();
	TEST_REQUIRE((kvm_check_cap(KVM_CAP_SYNC_REGS) & STATE) == STATE);
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = nothing }, NULL);
	m = machine_create(PAGES);
	machine_prepare(m, guest_churn, 0, 0, 0);
	runner_start(&r, m);
	for (unsigned int i = 0; i < claim_times(MOVES); i++)
		m = move_while_running(m, &r);
	/* A whole round more: all that the last one found has been looked at. */
	wait_for_round(m, rounds(m) + 2);
	runner_stop(&r);
	pr_info("%lu rounds of the guest over its memory\n", rounds(m));
}

static const struct claim claims[] = {
	SLOW_CLAIM(chain, 240, "a running guest goes through 200 moves with its memory whole"),
};

CLAIMS_MAIN(claims);
