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
 * @saved, @saved_data: who asked for it
 * @unkept: it was to be kept there, and is not
 * @given: another process has the guest
 * @upgraded: and the helper, and the name
 * @arrives: the guest is still another process's: stdin is not read yet
 * @upgrade: what an upgrade needs, and one that is under way
 * @hang: it is killed where it does not turn for so many seconds, if not 0
 * @blackout: ns for which the guest stood still when it came here from another process, or 0
 * @over: the loop is to end, with the exit status @status
 * @terminal: the console's
 * @signal, @ended, @still, @asked: what it waits for
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
 * Block the signals that the loop waits for. Called before any thread or socket
 * exists, so that none comes too early. SIGUSR2 asks for a snapshot where @snapshot,
 * and nothing elsewhere.
 */
void loop_block_signals(bool snapshot);

/* Where there will be no loop: one that asked for the end and is blocked ends the process now. */
void loop_heed_signals(void);

/*
 * Do all that can fail, with a machine that is built and does not run: watch for events,
 * show the console. 0 or -errno; closed in either case. A loop that was not opened is
 * closed if its @signals is -1.
 */
int loop_open(struct loop *loop);

/* Stop the guest, if it is here still; show what it printed last. */
void loop_close(struct loop *loop);

/*
 * Serve a guest that runs until it ends, is given away, or SIGINT, SIGTERM, SIGHUP or
 * SIGQUIT comes. Returns the program's exit status.
 */
int loop_serve(struct loop *loop);

/* Start the guest, and serve it. */
int loop_run(struct loop *loop);

/* ---- What may be asked of it, in an event's function ---- */

/* Have the guest stand still, or go on; it may do so already. 0 or -errno. */
int loop_pause(struct loop *loop);
int loop_resume(struct loop *loop);

/* Have the guest go on where nothing is against that. 0 or -errno: then the loop ends. */
int loop_go_on(struct loop *loop);

/*
 * Keep the guest in new files, which are taken over, or in what the helper makes (NULL); it
 * goes on then, unless it is paused. @path is where that is, in words; @exposes: private memory
 * may be written, which is -EPERM else. Returns 0, and @done is
 * called with 0 or -errno and what failed, once it is known what came of it: -ECANCELED: the
 * loop has ended before; or returns -errno, and the machine's @step says what
 * failed: -EOPNOTSUPP: @no_snapshot is why; -EBUSY: another one is under way.
 */
int loop_snapshot(struct loop *loop, const char *path, const struct snapshot_fds *files,
		  bool exposes, void (*done)(void *data, int error, const char *step),
		  void *data);

/*
 * Press the power button, and have the guest go on if it is paused; *asked: it has one.
 * If not, the loop ends, and the guest with it. 0 or -errno.
 */
int loop_stop(struct loop *loop, bool *asked);

/* End it with this exit status. */
void loop_end(struct loop *loop, int status);

#endif /* VMM_LOOP_H */
