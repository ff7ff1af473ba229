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
 * One that is started when the VMM says so by @channel, which it has for itself. It ends with
 * that: then *left, one more here, is one less, and *place NULL. While *stays, it does not: it goes
 * on without a VMM. 0 or -errno.
 */
int passt_program_open(struct passt_program **place, struct events *events, int channel,
		       uint16_t mtu, const bool *stays, unsigned int *left);

/*
 * Serve this channel from now on, in place of its, of a VMM that has died: the first start that is
 * asked for by it is a connection to the program that runs. 0 or -errno.
 */
int passt_program_reopen(struct passt_program *passt, int channel);

/* It ends, before long. *stays is false. */
void passt_program_let_go(struct passt_program *passt);

/* Processes that end: departing.c. None is waited for: one may hang in the kernel */

/* SIGKILL; and take what is left of one that has ended: the signal that ended it, or 0. */
void process_kill(int pidfd);
int process_reap(int pidfd);

/*
 * See the end of this one, to leave nothing of it: till then *left is one more. Where it has not
 * ended in @grace seconds it is killed, which is told with the VM's @name; 0: that was done.
 */
void departing_add(struct events *events, int pidfd, unsigned int grace, const char *name,
		   unsigned int *left);

/* The next VMM: successor.c */

/*
 * struct successor - whoever may ask for it, and the one that was started
 * @channel: to the VMM
 * @listener: where it is asked for
 * @child: a pidfd, or none (-1); @dying: it was killed, and has not ended yet
 * @program: that of the VMM, for when it dies, or -1; @next_program: that of @child
 * @stays: the end of the channel is not the end of all: see successor_reopen()
 * @wanted: whoever may use the VM has said that its end is wanted
 * @orphan: the VMM has ended, and the next one is about to have the guest
 * @busy: the VMM has been told of one, and has not said what came of it
 * @left: one less where the channel has ended
 * @succeeded: called when it has the guest, with a pidfd that is given away
 * @failed: called when it has not, and has ended, by that @signal or 0
 * @has_moved: is the guest the next one's, as far as can be known? Asked before it is believed
 * @held: called with what a VMM gives to be held, and a descriptor that is given away, or -1
 */
struct successor {
	struct events *events;
	struct event channel;
	struct event listener;
	struct event child;
	pid_t pid;
	bool dying;
	int program;
	int next_program;
	bool stays;
	bool wanted;
	bool orphan;
	bool busy;
	unsigned int *left;
	void (*succeeded)(void *data, pid_t pid, int pidfd);
	void (*failed)(void *data, int signal);
	bool (*has_moved)(void *data);
	int (*held)(void *data, const struct helper_message *message, int fd);
	void *data;
};

/* Serve both; NULL: there is no memory. */
struct successor *successor_open(struct events *events, int channel, int listener,
				 unsigned int *left);

/* Is one started that may have the guest, and has not said so? It may be dying. */
bool successor_is_there(const struct successor *successor);

/* Kill it, if there is one: @failed is called when it has ended. */
void successor_kill(struct successor *successor);

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
