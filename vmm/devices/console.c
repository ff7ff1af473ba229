// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/write-all.h"
#include "devices/console.h"

/* How often to look whether the vCPU is to stop, ms: a signal may come just before. */
#define LOOK_AGAIN	100

static bool is_stopped(const struct console *console)
{
	return __atomic_load_n(&console->stopped, __ATOMIC_SEQ_CST);
}

void console_set_stopped(struct console *console, bool stopped)
{
	__atomic_store_n(&console->stopped, stopped, __ATOMIC_SEQ_CST);
}

/* Until there is room for a line, or the vCPU is to stop: is there? */
static bool wait_for_reader(const struct console *console)
{
	while (!is_stopped(console))
		if (wait_writable(STDOUT_FILENO, LOOK_AGAIN))
			return true;
	return wait_writable(STDOUT_FILENO, 0);
}

static void flush(struct console *console)
{
	struct console_state *now = &console->now;
	size_t done = 0;

	if (console->awaited &&
	    memmem(now->line, now->used, console->awaited, strlen(console->awaited)))
		console->came = true;
	if (!wait_for_reader(console) && now->used < sizeof(now->line))
		return;
	while (done < now->used) {
		/* Output that finds no room when the vCPU is to stop is lost. */
		if (is_stopped(console) && !wait_writable(STDOUT_FILENO, 0))
			break;

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
