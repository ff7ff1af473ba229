// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "console.h"

static void flush(struct console *console)
{
	struct console_state *now = &console->now;
	size_t done = 0;

	if (console->awaited &&
	    memmem(now->line, now->used, console->awaited, strlen(console->awaited)))
		console->came = true;
	while (done < now->used) {
		ssize_t wrote = write(STDOUT_FILENO, now->line + done,
				      now->used - done);

		if (wrote < 0 && errno != EINTR)
			break;	/* nobody listens: the guest goes on */
		if (wrote > 0)
			done += wrote;
	}
	now->used = 0;
}

void console_write(struct console *console, const void *bytes, size_t size)
{
	struct console_state *now = &console->now;
	const char *byte = bytes;

	while (size--) {
		now->line[now->used++] = *byte;
		if (*byte++ == '\n' || now->used == sizeof(now->line))
			flush(console);
	}
}

int console_restore(struct console *console, const void *saved, size_t size)
{
	struct console_state found;

	if (size != sizeof(found))
		return -EINVAL;
	memcpy(&found, saved, sizeof(found));
	if (found.used >= sizeof(found.line))
		return -EINVAL;
	console->now = found;
	return 0;
}
