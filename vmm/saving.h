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
 * struct saving - one, or none
 * @state: requests in flight are waited for; then a thread writes
 * @until: on CLOCK_MONOTONIC in ns: they are waited for no longer
 * @helper: makes its files, where they are not given
 * @path: where it is kept, in words
 * @given: its files are these
 * @copy: what is written, beside memory
 * @cancelled: the thread is to give up
 * @ret: what came of the thread
 * @written: an event: the thread is at its end
 * @done: is told what came of it, 0 or -errno and the step that failed, when devices can
 *	go on; -ECANCELED: it was given up
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

/* Before the first. 0 or -errno; saving_close() in any case. */
int saving_open(struct saving *saving, struct machine *machine, struct helper *helper);

/*
 * Begin, with a machine whose vCPUs stand still until @done is called. @files: it is written
 * into these, which are taken over where this succeeds; NULL: the helper makes some, as it
 * was told at its start. @path is what they are called. Returns 0, and @done
 * is called later; or -errno, with the machine's @step, and it is not: -EOPNOTSUPP: such a
 * machine cannot be kept; -EPERM: not without @exposes, which says that private memory may be
 * written; -EBUSY: there is another one under way.
 */
int saving_begin(struct saving *saving, const char *path, const struct snapshot_fds *files,
		 bool exposes, void (*done)(void *data, int error, const char *step),
		 void *data);

/* While it waits, the main loop calls this at once, and every few milliseconds. */
void saving_look(struct saving *saving);

/*
 * Give up what is under way, in the time of a write to the disk, and tell @done. What has just
 * been kept stays, and is told as that.
 */
void saving_give_up(struct saving *saving);

void saving_close(struct saving *saving);

#endif /* VMM_SAVING_H */
