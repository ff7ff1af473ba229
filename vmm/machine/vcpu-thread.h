/* SPDX-License-Identifier: MIT */
/* The thread that runs a machine's vCPU. */
#ifndef VMM_MACHINE_VCPU_THREAD_H
#define VMM_MACHINE_VCPU_THREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

/*
 * struct vcpu_thread - a machine that runs, or stands still
 * @machine: its vCPU belongs to the thread while that exists
 * @pthread: exists between vcpu_thread_go() and vcpu_thread_stop()
 * @going: the thread exists
 * @gate: the thread waits here before it runs the guest for the first time
 * @dismissed: the thread must not run the guest at all
 * @ended: the guest has ended by itself; valid when not @going
 * @ended_fd: an eventfd, readable once the guest has ended by itself
 * @status: the exit status that goes with that end
 * @error: what gmem_vcpu_run() returned last
 * @still_fd: an eventfd, readable once the console had the awaited line: the
 *	guest stands still right behind it, for vcpu_thread_stop() and vcpu_thread_go()
 * @left_ns: when the vCPU was last out of the guest
 */
struct vcpu_thread {
	struct machine *machine;
	pthread_t pthread;
	bool going;
	sem_t gate;
	bool dismissed;
	bool ended;
	int ended_fd;
	int still_fd;
	int status;
	int error;
	uint64_t left_ns;
};

/* 0 or -errno */
int vcpu_thread_init(struct vcpu_thread *thread, struct machine *machine);

/* Run the guest. 0 or -errno. */
int vcpu_thread_go(struct vcpu_thread *thread);

/*
 * Start the thread, but not the guest: all that can fail of vcpu_thread_go() is done
 * then. vcpu_thread_release() lets it go. 0 or -errno.
 */
int vcpu_thread_park(struct vcpu_thread *thread);
void vcpu_thread_release(struct vcpu_thread *thread);

/*
 * Stop the guest between two instructions: afterwards no exit is pending and
 * the vCPU's state is complete.
 */
void vcpu_thread_stop(struct vcpu_thread *thread);

/*
 * Stop, and let go of what vcpu_thread_init() made. A thread that has not come so far
 * has no descriptors: -1.
 */
void vcpu_thread_close(struct vcpu_thread *thread);

#endif /* VMM_MACHINE_VCPU_THREAD_H */
