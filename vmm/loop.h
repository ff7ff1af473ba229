/* SPDX-License-Identifier: MIT */
/* The main loop of a process with a running guest. */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include <stdbool.h>

#include "machine/vcpus.h"

/*
 * struct loop - a running guest and the events that the process answers meanwhile
 * @vcpus: run the guest
 * @listener: a socket where another process may ask for the guest, or -1
 * @signals: from loop_signals()
 * @snapshot: the directory to keep the guest in when the console had the awaited
 *	line or SIGUSR2 comes, or NULL
 * @unkept: the last try to keep it there failed
 * @over: the loop is to end, with the exit status @status
 */
struct loop {
	struct vcpus *vcpus;
	int listener;
	int signals;
	const char *snapshot;
	bool unkept;
	bool over;
	int status;
};

/*
 * Block the signals that the loop waits for. Called before any thread or socket
 * exists, so that none comes too early.
 */
void loop_block_signals(void);

/* The same for SIGUSR2, which asks for a snapshot. */
void loop_block_snapshot_signal(void);

/*
 * Make the descriptor by which the loop hears of blocked signals. This can fail, so
 * it is done before the guest is ours alone. Returns the descriptor, or -errno.
 */
int loop_signals(void);

/*
 * Serve a guest that runs until it ends, is given away, or SIGINT or SIGTERM comes.
 * Returns the program's exit status.
 */
int loop_serve(struct loop *loop);

/* Make the signals' descriptor, start the guest, and serve it. */
int loop_run(struct loop *loop);

#endif /* VMM_LOOP_H */
