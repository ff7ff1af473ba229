// SPDX-License-Identifier: GPL-2.0-only
/* File descriptors sent to another process: see sendfd.h. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sendfd.h"
#include "test_util.h"

void send_fds(int socket, const int *fds, int nr, uint64_t word)
{
	char control[CMSG_SPACE(SENDFD_MAX * sizeof(int))] = { };
	struct iovec iov = { &word, sizeof(word) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(nr * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, nr * sizeof(int));
	TEST_ASSERT(sendmsg(socket, &msg, 0) == sizeof(word), "sendmsg: errno %d", errno);
}

bool receive_fds(int socket, int *fds, int nr, uint64_t *word)
{
	char control[CMSG_SPACE(SENDFD_MAX * sizeof(int))];
	uint64_t unused;
	struct iovec iov = { word ?: &unused, sizeof(*word) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) <= 0)
		return false;
	cmsg = CMSG_FIRSTHDR(&msg);
	TEST_ASSERT(cmsg && cmsg->cmsg_type == SCM_RIGHTS &&
		    cmsg->cmsg_len == CMSG_LEN(nr * sizeof(int)), "not %d fds came", nr);
	memcpy(fds, CMSG_DATA(cmsg), nr * sizeof(int));
	return true;
}

void close_as_garbage(int fd)
{
	int s[2];

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, s), "socketpair");
	send_fds(s[0], (int[]){ s[1], fd }, 2, 0);
	close(fd);
	close(s[0]);
	close(s[1]);
	/* Any socket's end has the kernel look for garbage. */
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, s), "socketpair");
	close(s[0]);
	close(s[1]);
}
