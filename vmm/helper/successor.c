// SPDX-License-Identifier: MIT
/*
 * The next VMM of the guest, which whoever may use the VM asks for with an open file: the program.
 * It never comes from the VMM, which may be hostile. It is started here, with one end of a
 * connection, the VMM gets the other one and the asker, and both settle the rest. Where the VMM
 * has died, the next one is of the same program, and the keeper has the other end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/fd-message.h"
#include "helper/parts.h"
#include "helper/wire.h"
#include "upgrade/wire.h"

#define MOST_HEARD	256	/* messages at a time: more than a VMM has to say */

/* ---- The program ---- */

static void execute(int program, int handover)
{
	char *const arguments[] = { "gmem", "incoming", "--handover", "3", NULL };
	sigset_t blocked;

	/* One that asks for a snapshot waits till it is known where; one for its end ends it. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	if (dup2(handover, UPGRADE_FD) < 0)
		_exit(127);
	syscall(SYS_close_range, UPGRADE_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	if (handover == UPGRADE_FD)
		fcntl(handover, F_SETFD, 0);
	syscall(SYS_execveat, program, "", arguments, environ, AT_EMPTY_PATH);
	_exit(127);
}

static void close_child(struct successor *successor)
{
	close_fd(&successor->next_program);
	if (successor->child.fd >= 0) {
		events_remove(successor->events, &successor->child);
		close(successor->child.fd);
	}
	successor->child.fd = -1;
	successor->dying = false;
	successor->pid = 0;
}

static int start_program(struct successor *successor, int program, int handover)
{
	int moved, ret;

	/* Else it would be closed by what takes its number. */
	moved = fcntl(program, F_DUPFD_CLOEXEC, UPGRADE_FD + 1);
	if (moved < 0)
		return -errno;
	successor->pid = fork();
	if (!successor->pid)
		execute(moved, handover);
	close(moved);
	if (successor->pid < 0) {
		successor->pid = 0;
		return -EAGAIN;
	}
	successor->child.fd = syscall(SYS_pidfd_open, successor->pid, 0);
	if (successor->child.fd >= 0 &&
	    !events_add(successor->events, &successor->child, EPOLLIN))
		return 0;
	ret = -errno;
	kill(successor->pid, SIGKILL);
	close_child(successor);
	return ret;
}

void successor_kill(struct successor *successor)
{
	successor->busy = false;
	close_fd(&successor->next_program);
	if (successor->child.fd < 0)
		return;
	process_kill(successor->child.fd);
	successor->dying = true;
}

/* It is none of whom the VMM has to hear any more. */
static void leave_child(struct successor *successor)
{
	int pidfd = successor->child.fd;

	if (pidfd < 0)
		return;
	events_remove(successor->events, &successor->child);
	successor->child.fd = -1;
	close_child(successor);
	departing_add(successor->events, pidfd, 0, NULL, successor->left);
}

/*
 * One that ends before it has the guest leaves that to the VMM, which sees it as well. What it
 * has given to be held it has said before, and it may not have been heard yet.
 */
static void child_ended(struct event *event, uint32_t ready)
{
	struct successor *successor = event->data;
	pid_t pid = successor->pid;
	int signal;

	(void)ready;
	successor_drain(successor);
	/* It has the guest, or another one was started in its place. */
	if (!pid || successor->pid != pid)
		return;
	signal = process_reap(event->fd);
	close_child(successor);
	if (successor->failed)
		successor->failed(successor->data, signal);
}

bool successor_is_there(const struct successor *successor)
{
	return successor->pid > 0;
}

/* ---- Who asks ---- */

static void refuse(int client, const char *why)
{
	char answer[256];
	int length = snprintf(answer, sizeof(answer), "{\"ok\":false,\"error\":\"%s\"}", why);

	send(client, answer, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int begin(struct successor *successor, int client, int program)
{
	struct helper_message message = { .kind = HELPER_UPGRADE };
	int ends[2], fds[3], ret;

	if (successor->channel.fd < 0)
		return -ESRCH;
	/* The last one, which came to nothing. */
	leave_child(successor);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	ret = start_program(successor, program, ends[1]);
	if (!ret) {
		/* Where that one dies, it is this program that can read what it has left. */
		successor->next_program = fcntl(program, F_DUPFD_CLOEXEC, UPGRADE_FD + 1);
		if (successor->next_program < 0)
			ret = -errno;
	}
	if (!ret) {
		message.number = successor->pid;
		fds[0] = ends[0];
		fds[1] = successor->child.fd;
		fds[2] = client;
		ret = helper_send(successor->channel.fd, &message, fds, 3);
	}
	close(ends[0]);
	close(ends[1]);
	if (ret)
		successor_kill(successor);
	successor->busy = !ret;
	return ret;
}

static bool may_ask(int client)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return !getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
	       (!peer.uid || peer.uid == geteuid());
}

static void agree(int client)
{
	static const char answer[] = "{\"ok\":true}";

	send(client, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * The guest is to end, in whichever VMM it is. One that may have it by now, or is about to, is
 * not waited for: the VMM that has it, or has had it, is killed by whoever asks.
 */
static void end_wanted(struct successor *successor)
{
	if (successor_is_there(successor))
		successor_kill(successor);
	else if (successor->orphan)	/* one would be started soon */
		successor->failed(successor->data, 0);
}

static void serve(struct successor *successor, int client)
{
	int fds[FD_MESSAGE_FDS] = { -1, -1, -1 };
	const char *why = NULL;
	char request[64] = "";
	bool end = false;
	struct timeval patience = { .tv_sec = 1 };

	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!may_ask(client))
		why = "this VM is another user's";
	else if (fd_message_receive(client, request, sizeof(request) - 1, fds) <= 0)
		why = "this is no request for an upgrade that is known here";
	else if (!strcmp(request, UPGRADE_END))
		end = true;
	else if (strcmp(request, UPGRADE_REQUEST) || fds[0] < 0)
		why = "this is no request for an upgrade that is known here";
	else if (successor->orphan)
		why = "its VMM has died, and another one is being started";
	else if (successor->busy)
		why = "another upgrade is under way";
	/* A kill that came to nothing is not wanted any more by somebody who wants an upgrade. */
	if (!why)
		successor->wanted = end;
	if (!why && end) {
		end_wanted(successor);
		agree(client);
	} else if (!why && begin(successor, client, fds[0])) {
		why = "the program can't be started: there is no room for one more";
	}
	if (why)
		refuse(client, why);
	fd_message_close(fds);
}

static void asked(struct event *event, uint32_t ready)
{
	int client = accept4(event->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)ready;
	if (client < 0)
		return;
	serve(event->data, client);
	close(client);
}

/* ---- The VMM's words ---- */

static int give(struct successor *successor)
{
	int pidfd;

	if (!successor_is_there(successor) || successor->dying)
		return -ESRCH;
	/* Old and new one have the same channel. */
	if (successor->has_moved && !successor->has_moved(successor->data))
		return -EPROTO;
	pidfd = fcntl(successor->child.fd, F_DUPFD_CLOEXEC, 0);
	if (pidfd < 0)
		return -errno;
	/* From here on it is this one that is started where the VMM dies. */
	if (successor->next_program >= 0) {
		close_fd(&successor->program);
		successor->program = successor->next_program;
		successor->next_program = -1;
	}
	successor->succeeded(successor->data, successor->pid, pidfd);
	close_child(successor);
	return 0;
}

static void end_listener(struct successor *successor)
{
	if (successor->listener.fd < 0)
		return;
	events_remove(successor->events, &successor->listener);
	close_fd(&successor->listener.fd);
	close_fd(&successor->program);
	--*successor->left;
}

static void end_channel(struct successor *successor)
{
	successor_kill(successor);
	events_remove(successor->events, &successor->channel);
	close_fd(&successor->channel.fd);
	if (!successor->stays)
		end_listener(successor);
}

void successor_let_go(struct successor *successor)
{
	successor->stays = false;
	if (successor->channel.fd < 0)
		end_listener(successor);
	else
		shutdown(successor->channel.fd, SHUT_RDWR);
}

/* What is held is not answered: two VMMs have the channel while one passes to the other. */
static bool is_held(struct successor *successor, const struct helper_message *message, int *fds)
{
	if (!successor->held || (message->kind != HELPER_HOLD && message->kind != HELPER_HELD))
		return false;
	if (!successor->held(successor->data, message, fds[0]))
		fds[0] = -1;
	else	/* nothing good comes of the rest */
		shutdown(successor->channel.fd, SHUT_RDWR);
	return true;
}

static void heard(struct event *event, uint32_t ready)
{
	struct successor *successor = event->data;
	struct helper_message message;
	int fds[FD_MESSAGE_FDS];
	int ret = helper_receive(event->fd, &message, fds);

	(void)ready;
	if (ret == -EAGAIN)
		return;
	if (ret > 0 && !*message.text && is_held(successor, &message, fds)) {
		fd_message_close(fds);
		return;
	}
	fd_message_close(fds);
	if (ret <= 0 || *message.text) {
		end_channel(successor);
		return;
	}
	if (message.kind == HELPER_UPGRADED || message.kind == HELPER_UPGRADE_FAILED)
		successor->busy = false;
	if (message.kind == HELPER_UPGRADED) {
		message.error = give(successor);
	} else if (message.kind == HELPER_UPGRADE_FAILED) {
		successor_kill(successor);
		message.error = 0;
	} else {
		message.error = -EPROTO;
	}
	message.kind = HELPER_ANSWER;
	helper_send(event->fd, &message, NULL, 0);
}

void successor_drain(struct successor *successor)
{
	struct pollfd more = { .fd = successor->channel.fd, .events = POLLIN };

	unsigned int i;

	/* Its end may bring another one, and one that lives may say more as fast as it is heard. */
	for (i = 0; i < MOST_HEARD && more.fd >= 0 && more.fd == successor->channel.fd &&
	     poll(&more, 1, 0) > 0; i++)
		heard(&successor->channel, EPOLLIN);
}

int successor_reopen(struct successor *successor, int channel)
{
	if (successor->channel.fd >= 0) {
		events_remove(successor->events, &successor->channel);
		close(successor->channel.fd);
	}
	successor->channel.fd = channel;
	return events_add(successor->events, &successor->channel, EPOLLIN);
}

int successor_start(struct successor *successor, int *socket, int *pidfd)
{
	int ends[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	ret = start_program(successor, successor->program, ends[1]);
	close(ends[1]);
	*socket = ends[0];
	*pidfd = ret ? -1 : fcntl(successor->child.fd, F_DUPFD_CLOEXEC, 0);
	if (!ret && *pidfd < 0)
		ret = -errno;
	if (ret) {
		close(ends[0]);
		successor_kill(successor);
	}
	successor->busy = !ret;
	return ret;
}

struct successor *successor_open(struct events *events, int channel, int listener,
				 unsigned int *left)
{
	struct successor *successor = calloc(1, sizeof(*successor));

	if (!successor)
		return NULL;
	successor->events = events;
	successor->left = left;
	successor->program = -1;
	successor->next_program = -1;
	successor->channel = (struct event){ .fd = channel, .ready = heard, .data = successor };
	successor->listener = (struct event){ .fd = listener, .ready = asked, .data = successor };
	successor->child = (struct event){ .fd = -1, .ready = child_ended, .data = successor };
	if (!events_add(events, &successor->channel, EPOLLIN) &&
	    !events_add(events, &successor->listener, EPOLLIN))
		return successor;
	free(successor);
	return NULL;
}
