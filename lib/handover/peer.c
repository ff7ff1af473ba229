// SPDX-License-Identifier: MIT
/*
 * The process at the other end of a connection. A closed socket does not show that its process is
 * gone, and a process number may belong to another process by the time it is used; a pidfd has
 * neither problem. Where a supervisor holds the socket, the process that listened need not be the
 * one that accepted: so the peer is the process that the kernel names as the sender of a message.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include <gmem.h>

#include "handover/socket.h"

/* struct sender - what the kernel says of the process that sent something */
struct sender {
	struct ucred cred;
	bool has_cred;
	int pidfd;		/* or -errno */
	bool has_pidfd;
};

static void close_rights(struct cmsghdr *part)
{
	size_t i, count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
		close(fd);
	}
}

static void read_sender(struct msghdr *header, struct sender *sender)
{
	struct cmsghdr *part;

	for (part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		if (part->cmsg_level != SOL_SOCKET)
			continue;
		switch (part->cmsg_type) {
		case SCM_RIGHTS:	/* these are copies; the real ones come later */
			close_rights(part);
			break;
		case SCM_CREDENTIALS:
			memcpy(&sender->cred, CMSG_DATA(part), sizeof(sender->cred));
			sender->has_cred = true;
			break;
		case SCM_PIDFD:
			memcpy(&sender->pidfd, CMSG_DATA(part), sizeof(sender->pidfd));
			sender->has_pidfd = true;
			break;
		}
	}
}

/* Finds the sender of the next byte, and leaves that byte in the socket. */
static int peek_sender(int socket, struct sender *sender, int64_t deadline)
{
	union {
		struct cmsghdr align;
		char space[GMEM_CONTROL_SPACE];
	} control;
	char byte;
	struct iovec content = { &byte, 1 };
	struct msghdr header;
	ssize_t got;

	do {
		int ret = gmem_wait_for(socket, POLLIN, deadline);

		if (ret)
			return ret;
		header = (struct msghdr){
			.msg_iov = &content, .msg_iovlen = 1,
			.msg_control = &control, .msg_controllen = sizeof(control),
		};
		got = recvmsg(socket, &header, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (got < 0 && (errno == EINTR || errno == EAGAIN));
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (!got)
		return -EPIPE;
	read_sender(&header, sender);
	return 0;
}

int gmem_peer_open(int socket, struct gmem_peer *peer, int timeout)
{
	struct sender sender = { .pidfd = -1 };
	int ret;

	*peer = (struct gmem_peer){ .pidfd = -1 };
	ret = peek_sender(socket, &sender, gmem_deadline_after(timeout));
	if (ret)
		return ret;
	/* A pid of 0 means that the process is in a namespace that we do not see. */
	if (!sender.has_cred || sender.cred.pid <= 0)
		ret = -ESRCH;
	/* gmem_connect() has checked the process that listened, not this one. */
	else if (sender.cred.uid != geteuid() && sender.cred.uid)
		ret = -EPERM;
	if (ret) {
		if (sender.pidfd >= 0)
			close(sender.pidfd);
		return ret;
	}
	peer->pid = sender.cred.pid;
	peer->uid = sender.cred.uid;
	if (!sender.has_pidfd) {
		sender.pidfd = pidfd_open(peer->pid, 0);
		if (sender.pidfd < 0)
			sender.pidfd = -errno;
	}
	if (sender.pidfd >= 0) {
		peer->pidfd = sender.pidfd;
		return 0;
	}
	/* If we cannot get a descriptor, that says nothing about the process. */
	if (sender.pidfd != -ESRCH && sender.pidfd != -EINVAL)
		return sender.pidfd;
	peer->gone = 1;
	return 0;
}

int gmem_peer_wait_gone(const struct gmem_peer *peer, int timeout)
{
	if (peer->gone)
		return 0;
	if (peer->pidfd < 0)
		return -EBADF;
	return gmem_wait_for(peer->pidfd, POLLIN, gmem_deadline_after(timeout));
}

int gmem_peer_kill(const struct gmem_peer *peer)
{
	if (peer->gone)
		return -ESRCH;
	if (peer->pidfd < 0)
		return -EBADF;
	return pidfd_send_signal(peer->pidfd, SIGKILL, NULL, 0) ? -errno : 0;
}

void gmem_peer_close(struct gmem_peer *peer)
{
	if (peer->pidfd >= 0)
		close(peer->pidfd);
	peer->pidfd = -1;
	peer->gone = 0;
}
