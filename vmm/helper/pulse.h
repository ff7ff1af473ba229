/* SPDX-License-Identifier: MIT */
/* Inside the helper's process: does the VMM hang? */
#ifndef VMM_HELPER_PULSE_H
#define VMM_HELPER_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/events.h"

/*
 * struct pulse - a VMM that is looked at every now and then
 * @beat: what its live page said last, or 0; @missed: looks in a row that have found no other
 * @look: is called for each
 */
struct pulse {
	struct event timer;
	uint32_t beat;
	unsigned int missed;
	void (*look)(void *data);
	void *data;
};

/* Have it looked at, so that one is found that hangs for @seconds; 0: never. 0 or -errno. */
int pulse_open(struct pulse *pulse, struct events *events, unsigned int seconds);

/*
 * At a look: has it hung for that time? Said once. @beat: what its page says now; 0: nothing is
 * expected of it.
 */
bool pulse_is_gone(struct pulse *pulse, uint32_t beat);

/* Does a debugger hold this process? Where there is no /proc, none is seen. */
bool pulse_is_held(int pidfd);

#endif /* VMM_HELPER_PULSE_H */
