// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/descriptors.h"

/* Close all descriptors between those that stay. */
int close_all_but(const int *fds, unsigned int nr)
{
	unsigned int from = STDERR_FILENO + 1, next, i;

	for (;;) {
		next = ~0U;
		for (i = 0; i < nr; i++)
			if (fds[i] >= (int)from && (unsigned int)fds[i] < next)
				next = fds[i];
		if (next > from && close_range(from, next - 1, 0))
			return -errno;
		if (next == ~0U)
			return 0;
		from = next + 1;
	}
}

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int empty_stdin(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int ret = fd < 0 || dup2(fd, STDIN_FILENO) < 0 ? -errno : 0;

	if (fd > STDIN_FILENO)
		close(fd);
	return ret;
}
