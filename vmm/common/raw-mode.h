/* SPDX-License-Identifier: MIT */
/* A terminal whose keys go to a guest. */
#ifndef VMM_COMMON_RAW_MODE_H
#define VMM_COMMON_RAW_MODE_H

#include <stdbool.h>
#include <termios.h>

/*
 * Make the terminal @fd deliver every key at once and unchanged; output is shown as before.
 * raw_mode_end(), exit(3), and a signal that ends the process, except SIGKILL, restore its
 * settings. Only one terminal for each process. Returns 0 or -errno: -ENOTTY: it is not a terminal,
 * or belongs to another job, whose keys are not for us.
 */
int raw_mode_begin(int fd);
void raw_mode_end(void);

/*
 * For another process, if the one that called raw_mode_begin() is dead: restore the settings
 * @cooked that the terminal had before that. If somebody has set them since, leave them alone.
 */
void raw_mode_undo(int fd, const struct termios *cooked);

#endif /* VMM_COMMON_RAW_MODE_H */
