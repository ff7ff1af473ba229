/* SPDX-License-Identifier: MIT */
/* The ends of a terminal, within it. All but terminal_wake() is of the main loop's thread. */
#ifndef VMM_DEVICES_TERMINAL_ENDS_H
#define VMM_DEVICES_TERMINAL_ENDS_H

#include "devices/terminal.h"

/* There is something to do for the main loop. Under the terminal's lock. */
void terminal_wake(struct terminal *terminal);

/* ---- terminal-output.c ---- */

/* Find out whether a person looks on. */
void terminal_look_on(struct terminal *terminal);

void end_open(struct terminal_end *end, int fd, int flags);
void end_close(struct terminal *terminal, struct terminal_end *end);

/* It is the one who is attached; that one is no more. */
bool end_is_client(const struct terminal *terminal, const struct terminal_end *end);
void end_detach(struct terminal *terminal);

/* It has no room for output; what is typed there is not read now. */
void end_set_full(struct terminal *terminal, struct terminal_end *end, bool full);
void end_set_held(struct terminal *terminal, struct terminal_end *end, bool held);

/* Write what can be written without waiting; or all, within a second. */
void end_flush(struct terminal *terminal, struct terminal_end *end);
void end_last_words(struct terminal *terminal, struct terminal_end *end);

void end_stdout_ready(struct event *event, uint32_t ready);

/* ---- terminal-input.c ---- */

/* Read on, where there is room again. */
void end_read_stdin(struct terminal *terminal);
void end_read_client(struct terminal *terminal);

void end_stdin_ready(struct event *event, uint32_t ready);
void end_client_ready(struct event *event, uint32_t ready);

#endif /* VMM_DEVICES_TERMINAL_ENDS_H */
