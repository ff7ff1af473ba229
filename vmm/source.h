/* SPDX-License-Identifier: MIT */
/* A running guest that may be taken over. */
#ifndef VMM_SOURCE_H
#define VMM_SOURCE_H

#include "runner.h"

/* Make the socket; says why if that fails. @path NULL gives -1. 0 or -errno. */
int source_listen(const char *path, int *listener);

/* Close the socket and remove it. */
void source_unlisten(int listener, const char *path);

/*
 * Hand a guest that runs over to who connects to @listener (-1: nobody),
 * until it ends, is given away, or SIGINT or SIGTERM comes. Makes a snapshot
 * when it stands still for one. @signals: from source_signals(). Returns the
 * program's exit status.
 */
int source_serve(struct runner *runner, int listener, int signals);

/*
 * A descriptor by which source_serve() hears of the signals that are blocked, made
 * before the guest is ours alone, since it may fail. Returns it, or -errno.
 */
int source_signals(void);

/* source_signals(), runner_go() and source_serve(). */
int source_run(struct runner *runner, int listener);

/*
 * Have SIGUSR2 make a snapshot while source_serve() runs, where runner->snapshot
 * says where. Called like source_block_signals().
 */
void source_block_snapshot_signal(void);

/*
 * Block the signals that source_serve() waits for. Called before any thread or
 * socket is there, so that none comes too early.
 */
void source_block_signals(void);

#endif /* VMM_SOURCE_H */
