// SPDX-License-Identifier: MIT
#include <errno.h>
#include <unistd.h>

#include "write-all.h"

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
