/* SPDX-License-Identifier: MIT */
/* The thread that runs a machine's vCPU. */
#ifndef VMM_RUNNER_H
#define VMM_RUNNER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine.h"

/*
 * struct runner - a machine that runs, or stands still
 * @machine: whose vCPU belongs to the thread while that exists
 * @thread: there is one between runner_go() and runner_stop()
 * @going: there is one
 * @gate: the thread waits here before it runs the guest for the first time
 * @dismissed: it is not to run it at all
 * @ended: the guest has ended by itself; to be read when not @going
 * @ended_fd: an eventfd, readable once it has
 * @status: the exit status that it ended with
 * @error: what gmem_vcpu_run() returned last
 * @still_fd: an eventfd, readable once the console had the awaited line: the
 *	guest stands still right behind it, for runner_stop() and runner_go()
 * @snapshot: the directory to keep the guest in then, or when a signal asks for
 *	it, or NULL
 * @unkept: the last try to keep it there failed
 * @left_ns: when the vCPU was last out of the guest
 */
struct runner {
	struct machine *machine;
	pthread_t thread;
	bool going;
	sem_t gate;
	bool dismissed;
	bool ended;
	int ended_fd;
	int still_fd;
	int status;
	int error;
	const char *snapshot;
	bool unkept;
	uint64_t left_ns;
};

/* 0 or -errno */
int runner_init(struct runner *runner, struct machine *machine);

/* Run the guest. 0 or -errno. */
int runner_go(struct runner *runner);

/*
 * Start the thread, but not the guest: all that can fail of runner_go() is done
 * then. runner_release() lets it go. 0 or -errno.
 */
int runner_park(struct runner *runner);
void runner_release(struct runner *runner);

/*
 * Stop the guest between two instructions: afterwards no exit is pending and
 * the vCPU's state is complete.
 */
void runner_stop(struct runner *runner);

/*
 * Stop, and let go of what runner_init() made. A runner that has not come so far
 * has no descriptors: -1.
 */
void runner_close(struct runner *runner);

#endif /* VMM_RUNNER_H */
