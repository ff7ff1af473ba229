/* SPDX-License-Identifier: MIT */
/* The guest's console: bytes through a port, shown as whole lines. */
#ifndef VMM_DEVICES_CONSOLE_H
#define VMM_DEVICES_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
 * struct console - the device
 * @now: its state
 * @awaited: NULL, or words: a line that has them is waited for
 * @came: it came
 * @stopped: the vCPU is to stop: no reader is waited for
 */
struct console {
	struct console_state now;
	const char *awaited;
	bool came;
	bool stopped;
};

/* The guest wrote bytes. A write(2) a line, so that no line is torn. */
void console_write(struct console *console, const void *bytes, size_t size);

/*
 * The vCPU that writes is to stop, or goes on. A reader that stalls holds up the guest,
 * but not its end, a snapshot or a handover: what it has not read of the last line goes
 * along as far as there is room. Called by another thread.
 */
void console_set_stopped(struct console *console, bool stopped);

/* Take over a console of another process. -EINVAL: it is none. */
int console_restore(struct console *console, const void *saved, size_t size);

#endif /* VMM_DEVICES_CONSOLE_H */
