/* SPDX-License-Identifier: MIT */
/* Bytes and descriptors over a connection, with a time limit. Not public. */
#ifndef GMEM_SOCKET_H
#define GMEM_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifndef SO_PASSPIDFD		/* Linux 6.5; Debian 12's headers are older */
#define SO_PASSPIDFD	76
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD	0x04
#endif

#define GMEM_MAX_ARRIVED	256	/* SCM_MAX_FD of the kernel is 253 */

/* Descriptors, and who sent them: struct ucred and a pidfd. */
#define GMEM_CONTROL_SPACE \
	(CMSG_SPACE(GMEM_MAX_ARRIVED * sizeof(int)) + \
	 CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int)))

/*
 * struct gmem_arrived - descriptors that came
 * @fds: the receiver must close them, whatever else came
 * @count: how many
 * @cut: there were more than we could receive
 */
struct gmem_arrived {
	int fds[GMEM_MAX_ARRIVED];
	uint32_t count;
	bool cut;
};

void gmem_close_arrived(struct gmem_arrived *arrived);

/* The time @timeout milliseconds from now; -1: never. */
int64_t gmem_deadline_after(int timeout);

/*
 * Wait for @events until @deadline; if that has passed, ask once. A signal does not restart the
 * wait. Returns 0, -ETIMEDOUT or -errno.
 */
int gmem_wait_for(int fd, short events, int64_t deadline);

/* Send everything, the descriptors with the first byte. Returns @size or -errno. */
ssize_t gmem_send_bytes(int socket, const void *bytes, size_t size,
			const int *fds, uint32_t nr_fds, int timeout);

/*
 * Fill @bytes. Returns how many bytes came, which is less than @size if the connection ended early;
 * or -errno. Adds descriptors to @arrived.
 */
ssize_t gmem_receive_bytes(int socket, void *bytes, size_t size,
			   struct gmem_arrived *arrived, int64_t deadline);

#endif /* GMEM_SOCKET_H */
