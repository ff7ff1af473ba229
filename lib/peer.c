// SPDX-License-Identifier: MIT
/*
 * The process at the other end of a connection. A closed socket does not say
 * that its process is gone, and a process number may be another's by the time
 * it is used: a pidfd has neither fault.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gmem.h"

#ifndef SO_PEERPIDFD		/* Linux 6.5; Debian 12's headers are older */
#define SO_PEERPIDFD 77
#endif

int gmem_peer_open(int socket, struct gmem_peer *peer)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);
	int pidfd;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &size))
		return -errno;
	size = sizeof(pidfd);
	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size)) {
		/*
		 * Only where the kernel is too old: any other error may mean
		 * that the process is gone and its number another's. A pid of 0
		 * is in a namespace that we do not see.
		 */
		pidfd = errno == ENOPROTOOPT && cred.pid > 0 ?
			pidfd_open(cred.pid, 0) : -1;
	}
	*peer = (struct gmem_peer){ pidfd, cred.pid, cred.uid };
	return 0;
}

int gmem_peer_wait_gone(const struct gmem_peer *peer, int timeout)
{
	struct pollfd wait = { .fd = peer->pidfd, .events = POLLIN };
	int ret;

	if (peer->pidfd < 0)
		return -EBADF;
	do {
		ret = poll(&wait, 1, timeout);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	return ret ? 0 : -ETIMEDOUT;
}

int gmem_peer_kill(const struct gmem_peer *peer)
{
	if (peer->pidfd < 0)
		return -EBADF;
	return pidfd_send_signal(peer->pidfd, SIGKILL, NULL, 0) ? -errno : 0;
}

void gmem_peer_close(struct gmem_peer *peer)
{
	if (peer->pidfd >= 0)
		close(peer->pidfd);
	peer->pidfd = -1;
}
