/* SPDX-License-Identifier: MIT */
/*
 * The ends of a terminal, used only within it. All functions except terminal_wake() are called in
 * the main loop's thread.
 */
#ifndef VMM_DEVICES_TERMINAL_ENDS_H
#define VMM_DEVICES_TERMINAL_ENDS_H

#include "devices/terminal.h"

/* Tell the main loop that there is something to do. Called with the terminal's lock. */
void terminal_wake(struct terminal *terminal);

/* ---- terminal-output.c ---- */

/* Find out whether a person is watching. */
void terminal_look_on(struct terminal *terminal);

void end_open(struct terminal_end *end, int fd, int flags);
void end_close(struct terminal *terminal, struct terminal_end *end);

/* Is this the attached client? And detach it. */
bool end_is_client(const struct terminal *terminal, const struct terminal_end *end);
void end_detach(struct terminal *terminal);

/* Note that an end has no room for output, or that its input is not read now. */
void end_set_full(struct terminal *terminal, struct terminal_end *end, bool full);
void end_set_held(struct terminal *terminal, struct terminal_end *end, bool held);

/* Write as much as possible without waiting; or everything, within a second. */
void end_flush(struct terminal *terminal, struct terminal_end *end);
void end_last_words(struct terminal *terminal, struct terminal_end *end);

void end_stdout_ready(struct event *event, uint32_t ready);

/* ---- terminal-input.c ---- */

/* Continue reading if there is room again. */
void end_read_stdin(struct terminal *terminal);
void end_read_client(struct terminal *terminal);

void end_stdin_ready(struct event *event, uint32_t ready);
void end_client_ready(struct event *event, uint32_t ready);

#endif /* VMM_DEVICES_TERMINAL_ENDS_H */
