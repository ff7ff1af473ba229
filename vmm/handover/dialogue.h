/* SPDX-License-Identifier: MIT */
/* Sending and receiving messages, for both sides of a handover. */
#ifndef VMM_HANDOVER_DIALOGUE_H
#define VMM_HANDOVER_DIALOGUE_H

#include <gmem.h>

/* How long to wait for the other side, in milliseconds. */
#define BUILD_TIMEOUT	30000	/* while the guest runs */
#define STOPPED_TIMEOUT	10000	/* while it stands still */
#define DYING_TIMEOUT	5000	/* from a closed socket to a dead process */

/* Send a message without content. Returns bytes or -errno. */
ssize_t send_kind(int socket, enum gmem_message_kind kind);

/*
 * Receive a message of one kind. Returns bytes; -EPIPE when the peer has
 * closed; -ECANCELED when it sent ABORT, whose reason was printed; or -errno.
 * The caller must free @message if the result is positive; NULL if only the
 * kind counts.
 */
ssize_t receive_kind(int socket, enum gmem_message_kind kind, int timeout,
		     struct gmem_message *message);

/* Tell the peer why the handover ends here. */
void send_abort(int socket, int error, const char *reason);

#endif /* VMM_HANDOVER_DIALOGUE_H */
