/* SPDX-License-Identifier: MIT */
/* What both sides of a handover do with messages. */
#ifndef VMM_HANDOVER_DIALOGUE_H
#define VMM_HANDOVER_DIALOGUE_H

#include <gmem.h>

/* How long to wait for the other side, in milliseconds. */
#define BUILD_TIMEOUT	30000	/* while the guest runs */
#define STOPPED_TIMEOUT	10000	/* while it stands still */
#define DYING_TIMEOUT	5000	/* from a closed socket to a dead process */

/* Send a message that is its kind only. Bytes or -errno. */
ssize_t send_kind(int socket, enum gmem_message_kind kind);

/*
 * Receive a message of one kind. Bytes; -EPIPE when the peer has closed;
 * -ECANCELED when it sent ABORT, whose reason was told; -errno. @message is to
 * be freed if the result is positive; NULL where only the kind counts.
 */
ssize_t receive_kind(int socket, enum gmem_message_kind kind, int timeout,
		     struct gmem_message *message);

/* Tell the peer why it ends here. */
void send_abort(int socket, int error, const char *reason);

#endif /* VMM_HANDOVER_DIALOGUE_H */
