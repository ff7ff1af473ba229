/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * File descriptors sent to another process over a Unix socket.
 */
#ifndef GMEM_TESTS_SENDFD_H
#define GMEM_TESTS_SENDFD_H

#include <stdbool.h>
#include <stdint.h>

#define SENDFD_MAX	4	/* fds in a message */

/* Sends @nr fds, and a word with them. */
void send_fds(int socket, const int *fds, int nr, uint64_t word);

/* Receives as many and the word, which may be NULL. false: the sender is gone. */
bool receive_fds(int socket, int *fds, int nr, uint64_t *word);

/*
 * Closes @fd, and leaves its last reference in a message to a socket that only that message refers
 * to. That is garbage, which a kworker finds and closes.
 */
void close_as_garbage(int fd);

#endif /* GMEM_TESTS_SENDFD_H */
