// SPDX-License-Identifier: MIT
/* Messages with descriptors, from a peer that sends more of them than are taken. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fd-message.h"
#include "unit.h"

#define MANY	16

static unsigned int count_open(void)
{
	unsigned int fd, nr = 0;

	for (fd = 0; fd < 256; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

static void send_many(int socket, unsigned int nr)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(MANY * sizeof(int))];
	} control = { .space = "" };
	struct iovec content = { "x", 1 };
	struct msghdr header = {
		.msg_iov = &content, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
	unsigned int i;

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(nr * sizeof(int));
	for (i = 0; i < nr; i++)
		memcpy(CMSG_DATA(rights) + i * sizeof(int), &socket, sizeof(int));
	assert_int_equal(sendmsg(socket, &header, 0), 1);
}

/* Whatever is sent, as many come as there is room for, and none is left open elsewhere. */
static void no_more_come_than_there_is_room_for(void **state)
{
	int ends[2], fds[FD_MESSAGE_FDS + 1], i;
	unsigned int nr, before;
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	before = count_open();
	for (nr = 1; nr <= MANY; nr++) {
		unsigned int came = nr < FD_MESSAGE_FDS ? nr : FD_MESSAGE_FDS;

		fds[FD_MESSAGE_FDS] = -7;
		send_many(ends[0], nr);
		assert_int_equal(fd_message_receive(ends[1], &byte, 1, fds), 1);
		assert_int_equal(fds[FD_MESSAGE_FDS], -7);
		assert_int_equal(count_open(), before + came);
		for (i = 0; i < FD_MESSAGE_FDS; i++)
			assert_int_equal(fds[i] >= 0, i < (int)came);
		fd_message_close(fds);
		assert_int_equal(count_open(), before);
		assert_int_equal(fds[0], -1);
	}
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest claims[] = {
		cmocka_unit_test(no_more_come_than_there_is_room_for),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(claims, NULL, NULL);
}
