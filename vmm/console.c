// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "console.h"

static void flush(struct console *console)
{
	size_t done = 0;

	while (done < console->used) {
		ssize_t wrote = write(STDOUT_FILENO, console->line + done,
				      console->used - done);

		if (wrote < 0 && errno != EINTR)
			break;	/* nobody listens: the guest goes on */
		if (wrote > 0)
			done += wrote;
	}
	console->used = 0;
}

void console_write(struct console *console, const void *bytes, size_t size)
{
	const char *byte = bytes;

	while (size--) {
		console->line[console->used++] = *byte;
		if (*byte++ == '\n' || console->used == sizeof(console->line))
			flush(console);
	}
}

int console_restore(struct console *console, const void *saved, size_t size)
{
	struct console found;

	if (size != sizeof(found))
		return -EINVAL;
	memcpy(&found, saved, sizeof(found));
	if (found.used >= sizeof(found.line))
		return -EINVAL;
	*console = found;
	return 0;
}
