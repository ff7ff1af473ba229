// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/service.h"

int service_open(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;
	int fd, ret;

	if (!length)
		return -1;
	if ((*path != '/' && *path != '@') || length >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, path, length);
	/* An abstract socket: its name begins with a zero byte, and its length counts. */
	if (*path == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	length += offsetof(struct sockaddr_un, sun_path);
	if (!connect(fd, (struct sockaddr *)&address, length))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

/*
 * Use write(2), which a VMM may still call. The message has the process number, because the process
 * that the manager has started may have given the guest to another one since. A message that cannot
 * be sent is lost: a guest does not wait for a service manager.
 */
void service_ready(int fd)
{
	char message[64];
	int length;

	if (fd < 0)
		return;
	length = snprintf(message, sizeof(message), "READY=1\nMAINPID=%d\n", getpid());
	if (write(fd, message, length) < 0)
		return;
}
