// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include "devices/console.h"
#include "devices/terminal.h"

void console_show(struct console *console)
{
	const struct console_state *now = &console->now;

	if (!console->terminal || console->shown >= now->used)
		return;
	terminal_put(console->terminal, now->line + console->shown, now->used - console->shown);
	console->shown = now->used;
}

static void end_line(struct console *console)
{
	struct console_state *now = &console->now;

	if (console->awaited && !console->fired &&
	    memmem(now->line, now->used, console->awaited, strlen(console->awaited))) {
		console->fired = true;
		console->came = true;
	}
	console_show(console);
	now->used = 0;
	console->shown = 0;
}

void console_write(struct console *console, const void *bytes, size_t size)
{
	struct console_state *now = &console->now;
	const char *byte = bytes;

	while (size--) {
		now->line[now->used++] = *byte;
		if (*byte++ == '\n' || now->used == sizeof(now->line))
			end_line(console);
	}
	if (console->terminal && now->used > console->shown &&
	    terminal_wants_bytes(console->terminal))
		console_show(console);
}

int console_read(struct console *console)
{
	return console->terminal ? terminal_get(console->terminal) : -1;
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
	console->shown = 0;
	return 0;
}

int console_go_on(struct console *console, uint32_t shown)
{
	if (shown > console->now.used)
		return -EINVAL;
	console->shown = shown;
	return 0;
}
