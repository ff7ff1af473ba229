/* SPDX-License-Identifier: MIT */
/*
 * A snapshot under way: the guest stands still, a thread writes, and the main loop goes on
 * answering.
 */
#ifndef VMM_SAVING_H
#define VMM_SAVING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/events.h"
#include "snapshot/files.h"
#include "snapshot/snapshot.h"

#define SAVING_PATH	4096

struct helper;

/*
 * struct saving - a snapshot under way, or none
 * @state: waits for requests in flight; then a thread writes
 * @until: how long to wait for them, ns of CLOCK_MONOTONIC
 * @helper: makes its files, if they are not given
 * @path: where it is kept, for messages
 * @given: its files, if they are given
 * @copy: the state that is written, besides memory
 * @cancelled: the thread must give up
 * @ret: the thread's result
 * @written: an event: the thread has ended
 * @done: called with the result, 0 or -errno and the step that failed, when devices can go on;
 *	-ECANCELED: the snapshot was given up
 */
struct saving {
	enum { SAVING_NOTHING, SAVING_WAITS, SAVING_WRITES } state;
	uint64_t until;
	struct machine *machine;
	struct helper *helper;
	char path[SAVING_PATH];
	bool given;
	struct snapshot_fds files;
	struct snapshot_copy copy;
	bool cancelled;
	int ret;
	pthread_t thread;
	struct event written;
	void (*done)(void *data, int error, const char *step);
	void *data;
};

/* Call it before the first snapshot. Returns 0 or -errno; call saving_close() in any case. */
int saving_open(struct saving *saving, struct machine *machine, struct helper *helper);

/*
 * Begin, with a machine whose vCPUs stand still until @done is called. @files: where to write it;
 * they are taken over on success. NULL: the helper makes some, as it was told at its start. @path:
 * their name, for messages. Returns 0, and @done is called later; or -errno, with the machine's
 * @step, and @done is not called: -EOPNOTSUPP: such a machine cannot be kept; -EPERM: private
 * memory may be written only with @exposes; -EBUSY: another snapshot is under way.
 */
int saving_begin(struct saving *saving, const char *path, const struct snapshot_fds *files,
		 bool exposes, void (*done)(void *data, int error, const char *step),
		 void *data);

/* While a snapshot waits, the main loop calls this at once, and every few milliseconds. */
void saving_look(struct saving *saving);

/*
 * Give up a snapshot under way, which takes as long as a write to the disk, and call @done. A
 * snapshot that has just been completed stays, and is reported as such.
 */
void saving_give_up(struct saving *saving);

void saving_close(struct saving *saving);

#endif /* VMM_SAVING_H */
