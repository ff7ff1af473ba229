/* SPDX-License-Identifier: MIT */
/* The threads that run a machine's vCPUs: one each, started and stopped together. */
#ifndef VMM_MACHINE_VCPUS_H
#define VMM_MACHINE_VCPUS_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

struct vcpus;

/* struct vcpu_thread - the thread of one vCPU */
struct vcpu_thread {
	struct vcpus *vcpus;
	struct gmem_vcpu *vcpu;
	pthread_t pthread;
};

/*
 * struct vcpus - a machine that runs, or stands still
 * @machine: its vCPUs belong to the threads while those exist
 * @threads: one a vCPU
 * @going: how many of them exist: all, or none
 * @gate: the threads wait here before they run the guest for the first time
 * @paused: a person wants it to stand still
 * @moved: they have just come from another VM: if the kernel has no memory for the first KVM_RUN,
 *	that is tried again
 * @dismissed: the threads must not run the guest at all
 * @ended: the guest has ended by itself; atomic while @going
 * @ended_fd: an eventfd, readable once the guest has ended by itself
 * @status: the exit status that goes with that end
 * @still_fd: an eventfd, readable once the console had the awaited line: the vCPU that wrote it
 *	stands still right after it, for vcpus_stop() and vcpus_go()
 * @left_ns: when the last vCPU left the guest
 * @entered_ns: when the first vCPU first entered it
 */
struct vcpus {
	struct machine *machine;
	struct vcpu_thread threads[MACHINE_VCPUS];
	unsigned int going;
	bool paused;
	sem_t gate;
	bool moved;
	bool dismissed;
	bool ended;
	int ended_fd;
	int still_fd;
	int status;
	uint64_t left_ns;
	uint64_t entered_ns;
};

/* 0 or -errno */
int vcpus_init(struct vcpus *vcpus, struct machine *machine);

/*
 * Answer the exit in a vCPU's run page, if there is one. For a guest that has come from a process
 * that died, before it runs.
 */
void vcpus_answer(struct vcpus *vcpus, unsigned int i);

/* Run the guest. 0 or -errno. */
int vcpus_go(struct vcpus *vcpus);

/* The same, unless the guest is paused or runs already. */
int vcpus_go_on(struct vcpus *vcpus);

/*
 * Start the threads, but not the guest. This does everything in vcpus_go() that can fail;
 * vcpus_release() then runs the guest. Returns 0 or -errno.
 */
int vcpus_park(struct vcpus *vcpus);
void vcpus_release(struct vcpus *vcpus);

/*
 * Stop the guest, each vCPU between two instructions: afterwards no exit is pending
 * and the vCPUs' state is complete.
 */
void vcpus_stop(struct vcpus *vcpus);

/* Has a vCPU written the awaited line, and nobody has asked since? */
bool vcpus_stand_still(const struct vcpus *vcpus);

/*
 * Stop, and release what vcpus_init() made. If that was not called, the descriptors are -1.
 */
void vcpus_close(struct vcpus *vcpus);

#endif /* VMM_MACHINE_VCPUS_H */
