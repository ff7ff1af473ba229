/* SPDX-License-Identifier: MIT */
/* A terminal whose keys go to a guest. */
#ifndef VMM_COMMON_RAW_MODE_H
#define VMM_COMMON_RAW_MODE_H

#include <stdbool.h>
#include <termios.h>

/*
 * Have the terminal @fd give every key at once and unchanged; what is written to it is
 * shown as before. It becomes as it was by raw_mode_end(), at exit(3), and by a signal
 * that ends the process, but for SIGKILL. One terminal a process. 0 or -errno: -ENOTTY:
 * it is none, or another job's, whose keys are not for us.
 */
int raw_mode_begin(int fd);
void raw_mode_end(void);

/*
 * By another process, where one that had called raw_mode_begin() is dead: the terminal becomes
 * @cooked again, as it was before that. One that somebody has set since stays as it is.
 */
void raw_mode_undo(int fd, const struct termios *cooked);

#endif /* VMM_COMMON_RAW_MODE_H */
