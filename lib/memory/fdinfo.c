// SPDX-License-Identifier: MIT
#include <errno.h>
#include <unistd.h>

#include "memory/fdinfo.h"

/* Use offsets: the kernel generates the file anew when it is read from the beginning. */
int gmem_fdinfo_read(int info, char *text, size_t size)
{
	size_t used = 0;
	ssize_t got;

	do {
		got = pread(info, text + used, size - 1 - used, used);
		if (got > 0)
			used += got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		return -errno;
	text[used] = '\0';
	return 0;
}
