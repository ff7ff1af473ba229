/* SPDX-License-Identifier: MIT */
/* Inside the helper's process: what it is asked for, a part each. */
#ifndef VMM_HELPER_PARTS_H
#define VMM_HELPER_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/events.h"

/* The program passt: passt-program.c */

struct passt_program;

/*
 * One that is started when the VMM says so by @channel, which it has for itself. It ends
 * with that: then *left is one less. NULL: there is no memory.
 */
struct passt_program *passt_program_open(struct events *events, int channel, uint16_t mtu,
					 unsigned int *left);

/* The next VMM: successor.c */

/*
 * struct successor - whoever may ask for it, and the one that was started
 * @channel: to the VMM
 * @listener: where it is asked for
 * @child: a pidfd, or none (-1)
 * @busy: the VMM has been told of one, and has not said what came of it
 * @left: one less where the channel has ended
 * @succeeded: called when it has the guest, with a pidfd that is given away
 * @failed: called when it has not, and has ended
 */
struct successor {
	struct events *events;
	struct event channel;
	struct event listener;
	struct event child;
	pid_t pid;
	bool busy;
	unsigned int *left;
	void (*succeeded)(void *data, pid_t pid, int pidfd);
	void (*failed)(void *data);
	void *data;
};

/* Serve both; NULL: there is no memory. */
struct successor *successor_open(struct events *events, int channel, int listener,
				 unsigned int *left);

/* Is one started that may have the guest, and has not said so? */
bool successor_is_there(const struct successor *successor);

#endif /* VMM_HELPER_PARTS_H */
