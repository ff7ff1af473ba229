// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/say.h"
#include "handover/dialogue.h"

ssize_t send_kind(int socket, enum gmem_message_kind kind)
{
	struct gmem_message message = { .kind = kind };

	return gmem_send(socket, &message, STOPPED_TIMEOUT);
}

static void show_reason(struct gmem_message *message)
{
	make_printable(message->text);
	say("the other side gave up: %s: %s", message->text,
	    strerror(message->error));
}

ssize_t receive_kind(int socket, enum gmem_message_kind kind, int timeout,
		     struct gmem_message *message)
{
	struct gmem_message own;
	struct gmem_message *into = message ? message : &own;
	ssize_t size = gmem_receive(socket, into, timeout);

	if (size <= 0)
		return size ? size : -EPIPE;
	if (into->kind == kind) {
		if (!message)
			gmem_message_free(into);
		return size;
	}
	if (into->kind == GMEM_MESSAGE_ABORT)
		show_reason(into);
	size = into->kind == GMEM_MESSAGE_ABORT ? -ECANCELED : -EPROTO;
	gmem_message_free(into);
	return size;
}

void send_abort(int socket, int error, const char *reason)
{
	struct gmem_message message = {
		.kind = GMEM_MESSAGE_ABORT, .error = -error,
	};

	snprintf(message.text, sizeof(message.text), "%s", reason);
	/* The peer may be gone, or may have caused the error: ignore a failure. */
	gmem_send(socket, &message, 0);
}
