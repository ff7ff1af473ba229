/* SPDX-License-Identifier: MIT */
/*
 * The host's side of the console. The guest's output is kept in memory, as much as there
 * is room for. The main loop writes it to stdout and to an attached client, each at its own
 * pace. A reader that stalls loses the oldest output, and holds up nobody.
 */
#ifndef VMM_DEVICES_TERMINAL_H
#define VMM_DEVICES_TERMINAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/events.h"

#define TERMINAL_KEPT	(256U << 10)
#define TERMINAL_TYPED	4096U

/*
 * struct terminal_memory - what the next process needs where this one dies
 * @put: how many bytes were ever put into @kept
 * @out_shown, @client_shown: how many of these stdout, and those who were attached, have had
 * @typed_in, @typed_out: how many bytes were ever put into @typed, and taken by the guest
 * @typed: what was typed and the guest has not taken, a ring
 * @kept: the output's last TERMINAL_KEPT bytes, a ring
 */
struct terminal_memory {
	uint64_t put;
	uint64_t out_shown;
	uint64_t client_shown;
	uint32_t typed_in;
	uint32_t typed_out;
	char typed[TERMINAL_TYPED];
	char kept[TERMINAL_KEPT];
};

/*
 * struct terminal_end - a descriptor that the console is shown on, or read from
 * @fd: -1: there is none
 * @own: it is ours to close, and no call on it waits
 * @socket: it is one
 * @waits: @event is added
 * @full: there was no room for output
 * @held: what is typed there is not read, since there is no room for it
 * @shown: how much of the output it has had, of all that was ever put; or NULL
 * @lost: how many bytes it will never have, and was not told about
 */
struct terminal_end {
	int fd;
	bool own;
	bool socket;
	bool waits;
	bool full;
	bool held;
	uint64_t *shown;
	uint64_t lost;
	struct event event;
};

/*
 * struct terminal - the console's other end
 * @lock: over what follows, up to @lines; nobody waits with it
 * @memory: output and input; @own: it was allocated here
 * @woken: the main loop was told that there is something to do
 * @by_bytes: a person looks on: nothing waits for the end of its line
 * @partial: there is part of a line that nobody has seen
 * @lines: how many lines were put
 * @events: the main loop's; all below is its thread's
 * @timed: @timer runs; @timed_lines: what @lines was when it was started
 * @in: stdin; @reads: it is wanted; @ready: it can't be waited for, as a file; @person:
 *	it is a terminal in raw mode; @quit: the key to end it was the last
 * @out: stdout
 * @client: who is attached
 * @came: called when there is input for the guest
 * @show: called when the part of a line is to be put
 * @end: called when a person has typed Ctrl-] twice
 * @data: for these three
 */
struct terminal {
	pthread_mutex_t lock;
	struct terminal_memory *memory;
	bool own;
	bool woken;
	bool by_bytes;
	bool partial;
	uint64_t lines;

	struct events *events;
	struct event wake;
	struct event timer;
	bool timed;
	uint64_t timed_lines;
	struct terminal_end in;
	bool reads;
	bool ready;
	bool person;
	bool quit;
	struct terminal_end out;
	struct terminal_end client;
	void (*came)(void *data);
	void (*show)(void *data);
	void (*end)(void *data);
	void *data;
};

/* Show the console on stdout. 0 or -errno; to be closed in either case. */
int terminal_open(struct terminal *terminal, struct events *events);

/*
 * Have it in this memory from here on, which stays the caller's: before the guest runs. And go
 * on with what the terminal of a process had that is dead, of which anything may be wrong;
 * @taken: how many typed bytes the guest's port has had.
 */
void terminal_use(struct terminal *terminal, struct terminal_memory *memory);
void terminal_recover(struct terminal *terminal, const struct terminal_memory *memory,
		      uint32_t taken);

/* Write what there is, if its readers take it within a second, and close. */
void terminal_close(struct terminal *terminal);

/*
 * Open stdin, which a VMM that has given up files cannot; and read it, in raw mode if it is a
 * terminal.
 */
void terminal_open_stdin(struct terminal *terminal);
void terminal_read_stdin(struct terminal *terminal);

/*
 * Attach the socket @fd, which is the terminal's from then on: it is shown what nobody
 * who was attached has seen yet, as far as that is kept, and what comes. 0 or -errno:
 * -EBUSY: another is attached.
 */
int terminal_attach(struct terminal *terminal, int fd);
bool terminal_is_attached(const struct terminal *terminal);

/* As if it had been typed; what there is no room for is lost. The main loop's thread. */
void terminal_type(struct terminal *terminal, const char *bytes, size_t size);

/* Write what can be written without waiting. The main loop's thread. */
void terminal_flush(struct terminal *terminal);

/* ---- For the device: any thread, and no wait ---- */

void terminal_put(struct terminal *terminal, const char *bytes, size_t size);

/* Is part of a line to be put? If not, the terminal's @show is called later. */
bool terminal_wants_bytes(struct terminal *terminal);

/* The next byte that was typed, or -1. */
int terminal_get(struct terminal *terminal);

#endif /* VMM_DEVICES_TERMINAL_H */
