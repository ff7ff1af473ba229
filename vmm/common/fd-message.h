/* SPDX-License-Identifier: MIT */
/* Messages with descriptors, over a SOCK_SEQPACKET socket. */
#ifndef VMM_COMMON_FD_MESSAGE_H
#define VMM_COMMON_FD_MESSAGE_H

#include <stddef.h>
#include <sys/types.h>

#define FD_MESSAGE_FDS	3

/* Send @bytes with @nr descriptors, which stay the caller's. Returns 0 or -errno. */
int fd_message_send(int socket, const void *bytes, size_t size, const int *fds,
		    unsigned int nr);

/*
 * Receive into @bytes and @fds, of FD_MESSAGE_FDS; descriptors that did not come are -1. Returns
 * the size of the message, 0 at the end of the connection, or -errno.
 */
ssize_t fd_message_receive(int socket, void *bytes, size_t size, int *fds);

/* Close the descriptors that came, and set all to -1. */
void fd_message_close(int *fds);

#endif /* VMM_COMMON_FD_MESSAGE_H */
