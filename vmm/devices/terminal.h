/* SPDX-License-Identifier: MIT */
/*
 * The host's side of the console. As much of the guest's output as there is room for is kept in
 * memory. The main loop writes it to stdout and to an attached client, each at its own pace. A
 * reader that stalls loses the oldest output, and holds up nobody.
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
 * struct terminal_memory - the data that the next process needs if this one dies
 * @put: how many bytes were ever put into @kept
 * @out_shown, @client_shown: how many of these stdout, and attached clients, have got
 * @typed_in, @typed_out: how many bytes were ever put into @typed, and taken by the guest
 * @typed: typed bytes that the guest has not taken, a ring
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
 * @own: we must close it, and no call on it waits
 * @socket: it is a socket
 * @waits: @event is added
 * @full: there was no room for output
 * @held: its input is not read, since there is no room for it
 * @shown: how much of all output it has got; or NULL
 * @lost: how many bytes it has missed, and was not told about
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
 * struct terminal - the host's end of the console
 * @lock: guards the following members, up to @lines; its holder never waits
 * @memory: output and input; @own: it was allocated here
 * @woken: the main loop was told that there is something to do
 * @by_bytes: a person is watching: show bytes before their line is complete
 * @partial: there is part of a line that nobody has seen
 * @lines: how many lines were put
 * @events: the main loop's; its thread owns all members below
 * @timed: @timer runs; @timed_lines: what @lines was when it was started
 * @in: stdin; @reads: read it; @ready: it can't be waited for, like a file; @person: it is a
 *	terminal in raw mode; @quit: the last key was the one to end the VM
 * @out: stdout
 * @client: the attached client
 * @came: called when there is input for the guest
 * @show: called when a part of a line must be put
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

/* Show the console on stdout. Returns 0 or -errno; close the terminal in either case. */
int terminal_open(struct terminal *terminal, struct events *events);

/*
 * Keep the data in this memory from here on, which stays the caller's. Call it before the guest
 * runs. The second function continues from the untrusted memory of a dead process's terminal;
 * @taken: how many typed bytes the guest's port has taken.
 */
void terminal_use(struct terminal *terminal, struct terminal_memory *memory);
void terminal_recover(struct terminal *terminal, const struct terminal_memory *memory,
		      uint32_t taken);

/* Write the rest of the output, if its readers take it within a second, and close. */
void terminal_close(struct terminal *terminal);

/*
 * Open stdin, before the VMM gives up files; and read it, in raw mode if it is a terminal.
 */
void terminal_open_stdin(struct terminal *terminal);
void terminal_read_stdin(struct terminal *terminal);

/*
 * Attach the socket @fd, which belongs to the terminal from then on. It gets the kept output that
 * no attached client has seen yet, and then new output. Returns 0 or -errno: -EBUSY: another client
 * is attached.
 */
int terminal_attach(struct terminal *terminal, int fd);
bool terminal_is_attached(const struct terminal *terminal);

/*
 * Add input as if it had been typed; bytes without room are lost. Called in the main loop's thread.
 */
void terminal_type(struct terminal *terminal, const char *bytes, size_t size);

/* Write as much as possible without waiting. Called in the main loop's thread. */
void terminal_flush(struct terminal *terminal);

/* ---- For the device: any thread, and no wait ---- */

void terminal_put(struct terminal *terminal, const char *bytes, size_t size);

/* Should a part of a line be put now? If not, the terminal's @show is called later. */
bool terminal_wants_bytes(struct terminal *terminal);

/* The next byte that was typed, or -1. */
int terminal_get(struct terminal *terminal);

#endif /* VMM_DEVICES_TERMINAL_H */
