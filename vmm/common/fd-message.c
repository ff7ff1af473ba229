// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fd-message.h"

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(FD_MESSAGE_FDS * sizeof(int))];
};

int fd_message_send(int socket, const void *bytes, size_t size, const int *fds,
		    unsigned int nr)
{
	struct iovec content = { (void *)bytes, size };
	struct msghdr header = { .msg_iov = &content, .msg_iovlen = 1 };
	union control control = { .space = "" };
	struct cmsghdr *rights;

	if (nr) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(nr * sizeof(*fds));
		rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(nr * sizeof(*fds));
		memcpy(CMSG_DATA(rights), fds, nr * sizeof(*fds));
	}
	while (sendmsg(socket, &header, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static void take_fds(struct msghdr *header, int *fds)
{
	struct cmsghdr *part;

	for (part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part))
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
			memcpy(fds, CMSG_DATA(part), part->cmsg_len - CMSG_LEN(0));
}

ssize_t fd_message_receive(int socket, void *bytes, size_t size, int *fds)
{
	struct iovec content = { bytes, size };
	union control control;
	/* Do not use all of the space: it may have room for one descriptor more. */
	struct msghdr header = {
		.msg_iov = &content, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = CMSG_LEN(FD_MESSAGE_FDS * sizeof(int)),
	};
	ssize_t got;
	int i;

	for (i = 0; i < FD_MESSAGE_FDS; i++)
		fds[i] = -1;
	do {
		got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	take_fds(&header, fds);
	return got;
}

void fd_message_close(int *fds)
{
	int i;

	for (i = 0; i < FD_MESSAGE_FDS; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}
