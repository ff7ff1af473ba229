// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "common/write-all.h"

int write_all(int fd, const void *bytes, size_t size)
{
	while (size) {
		ssize_t wrote = write(fd, bytes, size);

		if (wrote < 0 && errno != EINTR)
			return -errno;
		if (wrote > 0) {
			bytes = (const char *)bytes + wrote;
			size -= wrote;
		}
	}
	return 0;
}

/* A pipe or a terminal that has any room takes a line without a wait. */
bool wait_writable(int fd, int timeout)
{
	struct pollfd out = { .fd = fd, .events = POLLOUT };

	return poll(&out, 1, timeout) > 0;
}

static int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

int write_within(int fd, const void *bytes, size_t size, int timeout)
{
	int64_t left, end = now_ms() + timeout;

	while (size) {
		ssize_t wrote;

		left = end - now_ms();
		if (!wait_writable(fd, left > 0 ? left : 0)) {
			if (left > 0)
				continue;
			return -ETIMEDOUT;
		}
		wrote = write(fd, bytes, size);
		if (wrote < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (wrote > 0) {
			bytes = (const char *)bytes + wrote;
			size -= wrote;
		}
	}
	return 0;
}
