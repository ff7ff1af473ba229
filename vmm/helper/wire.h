/* SPDX-License-Identifier: MIT */
/* What a VMM and its helper say to each other. */
#ifndef VMM_HELPER_WIRE_H
#define VMM_HELPER_WIRE_H

#include <stdint.h>

#define HELPER_TEXT	4096

/*
 * Kinds of messages. To the helper; each but those of passt gets a HELPER_ANSWER:
 *
 * HELPER_MAKE, HELPER_KEEP, HELPER_DROP: a snapshot's files, where the plan has them
 * HELPER_LISTENS: the socket of a handover has just been made; once
 * HELPER_UNLISTEN: remove that one
 * HELPER_RELEASE: remove the name; then nothing is done any more
 * HELPER_KILL: the process of the pidfd that comes along; once
 * HELPER_CONNECT: to the page server
 * HELPER_UPGRADED: the VMM that the helper started last has the guest: by that one
 * HELPER_UPGRADE_FAILED: it has not, and is to be ended: by the one before
 * HELPER_HOLD: a descriptor that the guest needs beyond its VMM, which the @number names; not
 *	answered. Before the VMM runs a guest alone: then
 * HELPER_HELD: those were all, @number of them; not answered
 * HELPER_PASST_START: for the first time of this VMM
 * HELPER_PASST_LOST: the connection of this @number can't be used any more
 *
 * From the helper:
 *
 * HELPER_ANSWER: @error, and descriptors
 * HELPER_PASST_UP: a connection, a descriptor, and its @number; with a @text, to a passt that a
 *	VMM before this one has had, and else to one that has just been started
 * HELPER_PASST_ENDED: passt has ended, @text says how; it is started again
 * HELPER_PASST_FAILED: it could not be started, @text says why. After its first start that
 *	is tried again, and told once
 * HELPER_UPGRADE: a VMM was started, process @number, which waits for the guest: a handover's
 *	socket, its pidfd, and the connection of whoever asked
 *
 * A helper goes on with the next VMM, which may be of another release: what stands here may be
 * added to. Else HELPER_WIRE is another, and an upgrade is refused.
 */
#define HELPER_WIRE	1

enum helper_kind {
	HELPER_MAKE,
	HELPER_KEEP,
	HELPER_DROP,
	HELPER_LISTENS,
	HELPER_UNLISTEN,
	HELPER_RELEASE,
	HELPER_KILL,
	HELPER_CONNECT,
	HELPER_PASST_START,
	HELPER_PASST_LOST,
	HELPER_ANSWER,
	HELPER_PASST_UP,
	HELPER_PASST_ENDED,
	HELPER_PASST_FAILED,
	HELPER_UPGRADE,
	HELPER_UPGRADED,
	HELPER_UPGRADE_FAILED,
	HELPER_HOLD,
	HELPER_HELD,
};

/* What is held: this in the upper bits of the number, and which of several in the lower eight. */
enum helper_held {
	HELD_VM,
	HELD_VIEW,
	HELD_LIVE,	/* the live page */
	HELD_LIFE,	/* a pipe that hangs up when the VMM's requests are over */
	HELD_CONFIG,
	HELD_CONTROL,
	HELD_STDIN,
	HELD_STDOUT,
	HELD_REPORT,
	HELD_DISK,
	HELD_TAP,
	HELD_KINDS
};

#define HELD_NUMBER(what, nth)	((uint32_t)(what) << 8 | (nth))

/*
 * struct helper_message - a message, sent up to the end of @text. The VMM may be hostile: the
 *	helper takes no text from it
 */
struct helper_message {
	uint32_t kind;
	int32_t error;
	uint32_t number;
	char text[HELPER_TEXT];
};

/* 0 or -errno */
int helper_send(int socket, const struct helper_message *message, const int *fds,
		unsigned int nr);

/* 1; 0: the other side has ended; -errno; -EPROTO: it is no message. */
int helper_receive(int socket, struct helper_message *message, int *fds);

#endif /* VMM_HELPER_WIRE_H */
