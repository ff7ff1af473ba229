/* SPDX-License-Identifier: MIT */
/* Inside the helper's process: what it is asked for, a part each. */
#ifndef VMM_HELPER_PARTS_H
#define VMM_HELPER_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/events.h"

struct helper_message;

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
 * @program: that of the VMM, for when it dies, or -1; @next_program: that of @child
 * @stays: the end of the channel is not the end of all: see successor_reopen()
 * @wanted: whoever may use the VM has said that its end is wanted
 * @busy: the VMM has been told of one, and has not said what came of it
 * @left: one less where the channel has ended
 * @succeeded: called when it has the guest, with a pidfd that is given away
 * @failed: called when it has not, and has ended
 * @has_moved: is the guest the next one's, as far as can be known? Asked before it is believed
 * @held: called with what a VMM gives to be held, and a descriptor that is given away, or -1
 */
struct successor {
	struct events *events;
	struct event channel;
	struct event listener;
	struct event child;
	pid_t pid;
	int program;
	int next_program;
	bool stays;
	bool wanted;
	bool busy;
	unsigned int *left;
	void (*succeeded)(void *data, pid_t pid, int pidfd);
	void (*failed)(void *data);
	bool (*has_moved)(void *data);
	int (*held)(void *data, const struct helper_message *message, int fd);
	void *data;
};

/* Serve both; NULL: there is no memory. */
struct successor *successor_open(struct events *events, int channel, int listener,
				 unsigned int *left);

/* Is one started that may have the guest, and has not said so? */
bool successor_is_there(const struct successor *successor);

/* End it, as if it had not been asked for. */
void successor_end(struct successor *successor);

/* Nobody is to be served any more, when the channel has ended. */
void successor_let_go(struct successor *successor);

/* ---- Of a VMM that has died ---- */

/* Take what it said last. */
void successor_drain(struct successor *successor);

/*
 * Serve this channel from now on, in place of its; and start another of its program, with the
 * other ends of this socket and, as a pidfd of its own, of this process. 0 or -errno.
 */
int successor_reopen(struct successor *successor, int channel);
int successor_start(struct successor *successor, int *socket, int *pidfd);

#endif /* VMM_HELPER_PARTS_H */
