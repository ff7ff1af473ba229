/* SPDX-License-Identifier: MIT */
/* The guest's console: bytes through a port, and the line that they make. */
#ifndef VMM_DEVICES_CONSOLE_H
#define VMM_DEVICES_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct terminal;

/*
 * struct console_state - all that the device is; a handover and a snapshot carry
 *	it as it stands
 * @used: bytes of the line that is not complete yet
 */
struct console_state {
	uint32_t used;
	char line[252];
};

/*
 * struct console - the device. Its callers hold the machine's device_lock
 * @now: its state
 * @shown: how many bytes of the line the terminal has; another process that goes on
 *	with the line shows it from its start, unless its reader is the same
 * @awaited: NULL, or words: a line that has them is waited for, once in the guest's life
 * @fired: it has come, in this process or one before
 * @came: it has just come
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
 * The guest wrote bytes. They are shown by whole lines, so that none is torn where
 * the guest passes to another process; those of a line that does not get complete
 * are shown a little later.
 */
void console_write(struct console *console, const void *bytes, size_t size);

/* Show what there is of the line. */
void console_show(struct console *console);

/* The next byte for the guest, or -1: there is none. */
int console_read(struct console *console);

/* Take over a console of another process. -EINVAL: it is none. */
int console_restore(struct console *console, const void *saved, size_t size);

/* Behind console_restore(): its reader has had @shown bytes of the line. -EINVAL: it has less. */
int console_go_on(struct console *console, uint32_t shown);

#endif /* VMM_DEVICES_CONSOLE_H */
