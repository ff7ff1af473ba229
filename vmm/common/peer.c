// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stddef.h>

#include "common/peer.h"

static const struct {
	int error;
	const char *todo;
} todos[] = {
	{ ECONNREFUSED, "the process that made the socket is gone: remove the file" },
	{ EPERM, "both processes must be of the same user" },
	{ EBADMSG, "the process at the other end speaks something else" },
	{ EPROTO, "the process at the other end breaks the protocol" },
	{ EPROTONOSUPPORT, "the process at the other end is of another version of gmem" },
	{ EBADF, "a descriptor that came is not guest memory, or can shrink, or is too small" },
	{ ETIMEDOUT, "the process at the other end does not answer: see what it does" },
};

const char *peer_todo(int error)
{
	size_t i;

	for (i = 0; i < sizeof(todos) / sizeof(todos[0]); i++)
		if (todos[i].error == -error)
			return todos[i].todo;
	return NULL;
}
