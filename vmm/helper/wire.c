// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/fd-message.h"
#include "helper/wire.h"

int helper_send(int socket, const struct helper_message *message, const int *fds,
		unsigned int nr)
{
	return fd_message_send(socket, message, offsetof(struct helper_message, text) +
			       strlen(message->text) + 1, fds, nr);
}

int helper_receive(int socket, struct helper_message *message, int *fds)
{
	ssize_t got = fd_message_receive(socket, message, sizeof(*message), fds);

	if (got <= 0)
		return got;
	if (got <= (ssize_t)offsetof(struct helper_message, text) ||
	    ((char *)message)[got - 1])
		return -EPROTO;
	return 1;
}
