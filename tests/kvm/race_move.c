// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves against each other, and against what else is asked of both VMs.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "claims.h"
#include "moving.h"
#include "runner.h"
#include "stress.h"

#define RING	8
#define ROUNDS	50
#define PAGES	16

static struct kvm_vm *ring[RING];
static pthread_barrier_t start, stop;
static atomic_int moved;

static void expect_one_of_a_move(int ret)
{
	TEST_ASSERT(!ret || errno == EBUSY || errno == EIO || errno == EINVAL,
		    "move: errno %d (%s)", errno, strerror(errno));
	if (!ret)
		atomic_fetch_add(&moved, 1);
}

/* Thread i moves VM i to VM i + 1, all at the same time. */
static void *move_to_the_next(void *arg)
{
	size_t i = (size_t)arg;

	for (unsigned int round = 0; round < claim_times(ROUNDS); round++) {
		pthread_barrier_wait(&start);
		expect_one_of_a_move(__move(ring[(i + 1) % RING], ring[i]->fd));
		pthread_barrier_wait(&stop);
	}
	return NULL;
}

static void rings(void)
{
	pthread_t threads[RING];

	require_move();
	pthread_barrier_init(&start, NULL, RING + 1);
	pthread_barrier_init(&stop, NULL, RING + 1);
	for (size_t i = 0; i < RING; i++)
		pthread_create(&threads[i], NULL, move_to_the_next, (void *)i);

	for (unsigned int round = 0; round < claim_times(ROUNDS); round++) {
		for (int i = 0; i < RING; i++)
			ring[i] = idle_vm();
		atomic_store(&moved, 0);
		pthread_barrier_wait(&start);
		pthread_barrier_wait(&stop);
		/* Each success leaves one VM dead, and the last one alive. */
		TEST_ASSERT(moved < RING, "%d moves in a ring of %d", moved, RING);
		for (int i = 0; i < RING; i++)
			kvm_vm_free(ring[i]);
	}
	for (int i = 0; i < RING; i++)
		pthread_join(threads[i], NULL);
}

/* The two VMs are dead after their first move: new ones each round. */
struct couple {
	struct kvm_vm *a, *b;
	pthread_rwlock_t lock;
};

static void renew(void *arg)
{
	struct couple *c = arg;

	pthread_rwlock_wrlock(&c->lock);
	kvm_vm_free(c->a);
	kvm_vm_free(c->b);
	c->a = idle_vm();
	c->b = idle_vm();
	pthread_rwlock_unlock(&c->lock);
}

static void there(void *arg)
{
	struct couple *c = arg;

	pthread_rwlock_rdlock(&c->lock);
	expect_one_of_a_move(__move(c->b, c->a->fd));
	pthread_rwlock_unlock(&c->lock);
}

static void back(void *arg)
{
	struct couple *c = arg;

	pthread_rwlock_rdlock(&c->lock);
	expect_one_of_a_move(__move(c->a, c->b->fd));
	pthread_rwlock_unlock(&c->lock);
}

static void convert(void *arg)
{
	struct couple *c = arg;
	struct kvm_memory_attributes attrs = {
		.address = MACHINE_GPA,
		.size = PAGES * PAGE_SIZE,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	int ret;

	pthread_rwlock_rdlock(&c->lock);
	for (int i = 0; i < 4; i++) {
		ret = __vm_ioctl(i & 1 ? c->a : c->b, KVM_SET_MEMORY_ATTRIBUTES, &attrs);
		TEST_ASSERT(!ret || errno == EIO, "attributes: errno %d", errno);
		if (i & 1)
			attrs.attributes ^= KVM_MEMORY_ATTRIBUTE_PRIVATE;
	}
	pthread_rwlock_unlock(&c->lock);
}

static void there_and_back(void)
{
	/* So that it gets its turn who makes them anew. */
	struct couple c = { .lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP };

	require_move();
	c.a = idle_vm();
	c.b = idle_vm();
	STRESS(((struct stress_op[]){
		{ "A to B", there, &c },
		{ "B to A", back, &c },
		{ "attributes", convert, &c },
		{ "new VMs", renew, &c },
	}));
}

static volatile uint64_t spins;		/* of the guest */

static void guest_spin(void)
{
	for (;;)
		spins++;
}

static void *run_for_ever(void *arg)
{
	struct machine *a = arg;

	/* The library enters again after a signal, until the VM is dead. */
	TEST_ASSERT_EQ(machine_try(a, guest_spin, 0, 0, 0), EIO);
	return NULL;
}

static void *move_meanwhile(void *arg)
{
	struct machine **ab = arg;

	move(ab[1], ab[0]);
	atomic_store(&moved, 1);
	return NULL;
}

static void nothing(int signal __attribute__((unused)))
{
}

/* One that is in the guest is waited for; the signal that gets it out is enough. */
static void running_vcpu(void)
{
	struct machine *a, *b;
	pthread_t runner, mover;

	require_move();
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = nothing }, NULL);
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	b = destination(a);

	pthread_create(&runner, NULL, run_for_ever, a);
	wait_for(GUEST_VARIABLE(a->vm, spins), 1);
	pthread_create(&mover, NULL, move_meanwhile, (struct machine *[]){ a, b });
	usleep(500000);
	TEST_ASSERT(!atomic_load(&moved), "moved with a vCPU in the guest");
	a->vcpu->run->immediate_exit = 1;
	pthread_kill(runner, SIGUSR1);
	pthread_join(runner, NULL);
	pthread_join(mover, NULL);

	TEST_ERRNO(ioctl(a->vcpu->fd, KVM_RUN, NULL), EIO);
	guest_expect(b, 0, PAGES, 1);
}

static const struct claim claims[] = {
	SLOW_CLAIM(rings, 120, "moves in rings of 8 VMs from 8 threads come to an end"),
	CLAIM(there_and_back, "A to B against B to A, with attributes set on both"),
	CLAIM(running_vcpu, "a move waits for a vCPU that is in the guest"),
};

CLAIMS_MAIN(claims);
