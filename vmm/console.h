/* SPDX-License-Identifier: MIT */
/* The guest's console: bytes through a port, shown as whole lines. */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

/*
 * struct console - all that the device is; a handover carries it as it stands
 * @used: bytes of the line that is not complete yet
 */
struct console {
	uint32_t used;
	char line[252];
};

/* The guest wrote bytes. A write(2) a line, so that no line is torn. */
void console_write(struct console *console, const void *bytes, size_t size);

/* Take over a console of another process. -EINVAL: it is none. */
int console_restore(struct console *console, const void *saved, size_t size);

#endif /* VMM_CONSOLE_H */
