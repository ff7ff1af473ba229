/* SPDX-License-Identifier: MIT */
/* Messages with descriptors, over a SOCK_SEQPACKET socket. */
#ifndef VMM_COMMON_FD_MESSAGE_H
#define VMM_COMMON_FD_MESSAGE_H

#include <stddef.h>
#include <sys/types.h>

#define FD_MESSAGE_FDS	3

/* With @nr descriptors, which stay the caller's. 0 or -errno. */
int fd_message_send(int socket, const void *bytes, size_t size, const int *fds,
		    unsigned int nr);

/*
 * Into @bytes and @fds, of FD_MESSAGE_FDS; those that did not come are -1. Returns the size
 * of the message, 0 at the end of the connection, or -errno.
 */
ssize_t fd_message_receive(int socket, void *bytes, size_t size, int *fds);

/* Close those that came; all are -1 then. */
void fd_message_close(int *fds);

#endif /* VMM_COMMON_FD_MESSAGE_H */
