/* SPDX-License-Identifier: MIT */
/* The destination's side of a handover: a guest that another process runs. */
#ifndef VMM_HANDOVER_DESTINATION_H
#define VMM_HANDOVER_DESTINATION_H

#include <gmem.h>

#include <stdbool.h>

#include "machine/vcpus.h"

/*
 * struct destination - the state of a takeover
 * @socket: connected to the source, or -1
 * @source: the process that has the guest
 * @machine: the VM that is built for it
 * @vcpus: the threads of its vCPUs
 * @complete: all of the guest is here, and can run
 * @kill: kills the source by its pidfd; NULL: the source is told that the guest runs here
 * @prepare: called when the machine is built, for everything else that can fail, before the guest
 *	is ours alone; or NULL. Returns 0 or -errno
 * @data: for both
 * @step: what was tried last, for the message if it failed
 * @todo: what a person can do about that, or NULL
 */
struct destination {
	int socket;
	struct gmem_peer source;
	struct machine machine;
	struct vcpus vcpus;
	bool complete;
	int (*kill)(void *data, int pidfd);
	int (*prepare)(void *data);
	void *data;
	const char *step;
	const char *todo;
};

/* The state before destination_take(). */
#define DESTINATION_NONE { \
	.socket = -1, .source.pidfd = -1, \
	.vcpus = { .ended_fd = -1, .still_fd = -1 }, \
	.machine = { .kvm = -1, .vm = -1, .events.epoll = -1 }, \
}

/*
 * Take the guest over from the process that listens at @path. The guest is parked until
 * vcpus_release(). Returns 0; or -errno, and the source still has the guest.
 */
int destination_take(struct destination *destination, const char *path);

/* Close the socket, and forget the source. */
void destination_leave(struct destination *destination);

/* Let go of everything, also after an error. */
void destination_close(struct destination *destination);

#endif /* VMM_HANDOVER_DESTINATION_H */
