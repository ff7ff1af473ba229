// SPDX-License-Identifier: MIT
/*
 * How fast a guest gets private pages by touching them, 4 KiB at a time, with
 * one vCPU and with two. A sample is the time that a page of one chunk took.
 */
#include <pthread.h>
#include <unistd.h>

#include "measure.h"

#define SIZE (256 * MIB)
#define CHUNK (16 * MIB)
#define NR_CHUNKS (SIZE / CHUNK)
#define MAX_VCPUS 2

/*
 * struct toucher - one vCPU and its thread
 * @barrier: where all of them begin each chunk together
 * @gpa: what the vCPU touches next, @step bytes a chunk
 * @begin, @end: when it did, by chunk: taken here, since who waits for a
 *	thread may get to run much later
 */
struct toucher {
	pthread_t thread;
	struct gmem_vcpu vcpu;
	pthread_barrier_t *barrier;
	uint64_t gpa;
	uint64_t step;
	uint64_t begin[NR_CHUNKS];
	uint64_t end[NR_CHUNKS];
};

static void *touch(void *arg)
{
	struct toucher *t = arg;
	unsigned int chunk;

	for (chunk = 0; chunk < NR_CHUNKS; chunk++) {
		set_guest_range(&t->vcpu, t->gpa, t->gpa + t->step);
		t->gpa += t->step;
		pthread_barrier_wait(t->barrier);
		t->begin[chunk] = now_ns();
		run_guest(&t->vcpu);
		t->end[chunk] = now_ns();
	}
	return NULL;
}

static void sample_chunks(const struct toucher *touchers, unsigned int nr_vcpus)
{
	unsigned int chunk, i;

	for (chunk = 0; chunk < NR_CHUNKS; chunk++) {
		uint64_t begin = touchers[0].begin[chunk];
		uint64_t end = touchers[0].end[chunk];

		for (i = 1; i < nr_vcpus; i++) {
			if (touchers[i].begin[chunk] < begin)
				begin = touchers[i].begin[chunk];
			if (touchers[i].end[chunk] > end)
				end = touchers[i].end[chunk];
		}
		sample("fault", "first touch of a page, by vCPUs", nr_vcpus,
		       (end - begin) / (CHUNK / PAGE));
	}
}

static void measure(unsigned int nr_vcpus, void *host)
{
	struct toucher touchers[MAX_VCPUS];
	pthread_barrier_t barrier;
	int memfd, vm = create_vm();
	unsigned int i;

	memfd = must(gmem_memfd_create(vm, SIZE, 0), "create guest memory");
	add_guest_code(vm);
	bind_private(vm, memfd, SIZE, host);
	make_private(vm, SIZE);

	pthread_barrier_init(&barrier, NULL, nr_vcpus);
	for (i = 0; i < nr_vcpus; i++) {
		struct toucher *t = &touchers[i];

		create_guest_vcpu(vm, i, &t->vcpu);
		t->barrier = &barrier;
		t->gpa = PRIVATE_GPA + i * (SIZE / nr_vcpus);
		t->step = CHUNK / nr_vcpus;
		must(-pthread_create(&t->thread, NULL, touch, t), "start a thread");
	}
	for (i = 0; i < nr_vcpus; i++) {
		pthread_join(touchers[i].thread, NULL);
		gmem_vcpu_close(&touchers[i].vcpu);
	}
	sample_chunks(touchers, nr_vcpus);
	pthread_barrier_destroy(&barrier);
	close(memfd);
	close(vm);
}

int main(void)
{
	void *host = reserve_addresses(SIZE);
	unsigned int nr_vcpus;

	for (nr_vcpus = 1; nr_vcpus <= MAX_VCPUS; nr_vcpus++)
		measure(nr_vcpus, host);
	return 0;
}
