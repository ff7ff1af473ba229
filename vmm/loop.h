/* SPDX-License-Identifier: MIT */
/* The main loop of a process with a running guest. */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include <stdbool.h>

#include "devices/terminal.h"
#include "machine/vcpus.h"
#include "saving.h"
#include "upgrade/source.h"

/*
 * struct loop - a running guest and the events that the process answers meanwhile
 * @vcpus: run the guest
 * @listener: a socket where another process may ask for the guest, or -1
 * @helper: makes a snapshot's files
 * @snapshot: the directory to keep the guest in when the console had the awaited
 *	line or SIGUSR2 comes, or NULL
 * @exposes: such a snapshot may expose private memory
 * @no_snapshot: why it can't be kept in a directory, or NULL
 * @signals: a signalfd, or -1
 * @saving: a snapshot under way
 * @saved, @saved_data: the callback of its requester
 * @unkept: a snapshot there was requested, and failed
 * @given: another process has the guest
 * @upgraded: that process also has the helper and the name
 * @arrives: another process still has the guest: stdin is not read yet
 * @upgrade: the resources of an upgrade, and the one under way
 * @hang: if not 0: the process is killed if the loop does not turn for so many seconds
 * @blackout: ns for which the guest stood still when it came here from another process, or 0
 * @over: the loop must end, with the exit status @status
 * @terminal: the console's
 * @signal, @ended, @still, @asked: the events that it waits for
 */
struct loop {
	struct vcpus *vcpus;
	int listener;
	struct helper *helper;
	const char *snapshot;
	bool exposes;
	const char *no_snapshot;
	int signals;
	struct saving saving;
	void (*saved)(void *data, int error, const char *step);
	void *saved_data;
	bool unkept;
	bool given;
	bool upgraded;
	bool arrives;
	unsigned int hang;
	uint64_t blackout;
	bool over;
	int status;
	struct terminal terminal;
	struct event signal;
	struct event ended;
	struct event still;
	struct event asked;
	struct upgrade upgrade;
};

/*
 * Block the signals that the loop waits for. Called before any thread or socket exists, so that no
 * signal comes too early. SIGUSR2 asks for a snapshot if @snapshot is set, and is ignored
 * otherwise.
 */
void loop_block_signals(bool snapshot);

/* If there will be no loop: a blocked signal that asked for the end now ends the process. */
void loop_heed_signals(void);

/*
 * Do everything that can fail, with a machine that is built and does not run: watch for events,
 * show the console. Returns 0 or -errno; close the loop in either case. A loop that was not opened
 * can be closed if its @signals is -1.
 */
int loop_open(struct loop *loop);

/* Stop the guest, if it is still here; show its last output. */
void loop_close(struct loop *loop);

/*
 * Serve a guest that runs until it ends, is given away, or SIGINT, SIGTERM, SIGHUP or
 * SIGQUIT comes. Returns the program's exit status.
 */
int loop_serve(struct loop *loop);

/* Start the guest, and serve it. */
int loop_run(struct loop *loop);

/* ---- Requests to the loop, from an event's function ---- */

/* Make the guest stand still, or go on; it may do so already. Returns 0 or -errno. */
int loop_pause(struct loop *loop);
int loop_resume(struct loop *loop);

/* Let the guest go on, if nothing prevents that. Returns 0, or -errno: then the loop ends. */
int loop_go_on(struct loop *loop);

/*
 * Keep the guest in new files, which are taken over, or in files that the helper makes (NULL).
 * Afterwards it goes on, unless it is paused. @path: the place, for messages; @exposes: private
 * memory may be written, otherwise this is -EPERM. Returns 0, and calls @done later with the
 * result: 0, or -errno and what failed; -ECANCELED: the loop has ended before. Or returns -errno,
 * and the machine's @step says what failed: -EOPNOTSUPP: @no_snapshot says why; -EBUSY: another
 * snapshot is under way.
 */
int loop_snapshot(struct loop *loop, const char *path, const struct snapshot_fds *files,
		  bool exposes, void (*done)(void *data, int error, const char *step),
		  void *data);

/*
 * Press the power button, and let the guest go on if it is paused. *asked: it has a button. If not,
 * the loop ends, and the guest with it. Returns 0 or -errno.
 */
int loop_stop(struct loop *loop, bool *asked);

/* End the loop with this exit status. */
void loop_end(struct loop *loop, int status);

#endif /* VMM_LOOP_H */
