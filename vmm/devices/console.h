/* SPDX-License-Identifier: MIT */
/* The guest's console: bytes through a port, and the line that they form. */
#ifndef VMM_DEVICES_CONSOLE_H
#define VMM_DEVICES_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct terminal;

/*
 * struct console_state - all state of the device; a handover and a snapshot carry it unchanged
 * @used: bytes of the line that is not complete yet
 */
struct console_state {
	uint32_t used;
	char line[252];
};

/*
 * struct console - the device. Its callers hold the machine's device_lock
 * @now: its state
 * @shown: how many bytes of the line the terminal has shown; another process that continues the
 *	line shows it from its start, unless its reader is the same
 * @awaited: NULL, or a text: a line that contains it is waited for, once in the guest's life
 * @fired: that line has come, in this process or an earlier one
 * @came: that line has just come
 * @terminal: where output goes and input comes from, or NULL: nowhere
 */
struct console {
	struct console_state now;
	uint32_t shown;
	const char *awaited;
	bool fired;
	bool came;
	struct terminal *terminal;
};

/*
 * The guest wrote bytes. They are shown in whole lines, so that no line is torn when the guest
 * passes to another process; an incomplete line is shown a little later.
 */
void console_write(struct console *console, const void *bytes, size_t size);

/* Show the incomplete line. */
void console_show(struct console *console);

/* The next byte for the guest, or -1: there is none. */
int console_read(struct console *console);

/* Take over another process's console. -EINVAL: the state is invalid. */
int console_restore(struct console *console, const void *saved, size_t size);

/*
 * After console_restore(): the reader has seen @shown bytes of the line. -EINVAL: the line is
 * shorter.
 */
int console_go_on(struct console *console, uint32_t shown);

#endif /* VMM_DEVICES_CONSOLE_H */
