/* SPDX-License-Identifier: MIT */
/* Inside the helper's process: the terminal that the VMM was started at. */
#ifndef VMM_HELPER_TERMINAL_H
#define VMM_HELPER_TERMINAL_H

#include <termios.h>

#include "common/events.h"

/*
 * struct kept_terminal - stdin, if that is one
 * @fd: of it, or -1
 * @before: how it was when the helper was started
 * @vmm: a pidfd of the VMM that has its keys: the first one
 */
struct kept_terminal {
	int fd;
	struct termios before;
	struct events *events;
	struct event vmm;
};

/* In the VMM, before it sets it. */
void kept_terminal_find(struct kept_terminal *kept);

/* Give it back as it was when the VMM of this pidfd is dead and has not. 0 or an error. */
int kept_terminal_watch(struct kept_terminal *kept, struct events *events, int vmm);

/* Now, if that is dead; and never later. */
void kept_terminal_close(struct kept_terminal *kept);

#endif /* VMM_HELPER_TERMINAL_H */
