// SPDX-License-Identifier: MIT
/* The VMM's side: a question, and its answer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/fd-message.h"
#include "helper/helper.h"
#include "helper/wire.h"

/* @given: a descriptor that goes along, or -1 */
static int ask(int socket, struct helper_message *message, int given, int *fds)
{
	int ret = helper_send(socket, message, &given, given >= 0);

	if (!ret)
		ret = helper_receive(socket, message, fds);
	if (ret == 1)
		return message->kind == HELPER_ANSWER ? message->error : -EPROTO;
	return ret && ret != -ECONNRESET ? ret : -EPIPE;
}

/* That answers by no descriptor. */
static int tell(struct helper *helper, enum helper_kind kind)
{
	struct helper_message message = { .kind = kind };
	int fds[FD_MESSAGE_FDS];

	return helper->files < 0 ? -EPIPE : ask(helper->files, &message, -1, fds);
}

int helper_make(struct helper *helper, struct snapshot_fds *files)
{
	struct helper_message message = { .kind = HELPER_MAKE };
	int fds[FD_MESSAGE_FDS], ret;

	ret = helper->files < 0 ? -EPIPE : ask(helper->files, &message, -1, fds);
	if (!ret)
		*files = (struct snapshot_fds){ .memory = fds[0], .state = fds[1] };
	return ret;
}

int helper_keep(struct helper *helper)
{
	return tell(helper, HELPER_KEEP);
}

int helper_drop(struct helper *helper)
{
	return tell(helper, HELPER_DROP);
}

int helper_listens(struct helper *helper)
{
	return tell(helper, HELPER_LISTENS);
}

int helper_unlisten(struct helper *helper)
{
	return tell(helper, HELPER_UNLISTEN);
}

int helper_release(struct helper *helper)
{
	return tell(helper, HELPER_RELEASE);
}

int helper_kill(struct helper *helper, int pidfd)
{
	struct helper_message message = { .kind = HELPER_KILL };
	int fds[FD_MESSAGE_FDS];

	return helper->files < 0 ? -EPIPE : ask(helper->files, &message, pidfd, fds);
}

static int tell_upgrade(struct helper *helper, enum helper_kind kind)
{
	struct helper_message message = { .kind = kind };
	int fds[FD_MESSAGE_FDS];

	return helper->upgrade < 0 ? -EPIPE : ask(helper->upgrade, &message, -1, fds);
}

int helper_upgraded(struct helper *helper)
{
	return tell_upgrade(helper, HELPER_UPGRADED);
}

int helper_upgrade_failed(struct helper *helper)
{
	return tell_upgrade(helper, HELPER_UPGRADE_FAILED);
}

int helper_hold(struct helper *helper, uint32_t number, int fd)
{
	const struct helper_message message = { .kind = HELPER_HOLD, .number = number };

	return helper->upgrade < 0 ? -EPIPE : helper_send(helper->upgrade, &message, &fd, 1);
}

int helper_held(struct helper *helper, uint32_t count)
{
	const struct helper_message message = { .kind = HELPER_HELD, .number = count };

	return helper->upgrade < 0 ? -EPIPE : helper_send(helper->upgrade, &message, NULL, 0);
}

int helper_connect(int pager)
{
	struct helper_message message = { .kind = HELPER_CONNECT };
	int fds[FD_MESSAGE_FDS], ret = ask(pager, &message, -1, fds);

	return ret ? ret : fds[0];
}
