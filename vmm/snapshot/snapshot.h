/* SPDX-License-Identifier: MIT */
/*
 * A guest in a directory: `memory`, raw, and `state`. docs/snapshot.md has the
 * format. A reader believes nothing of it.
 */
#ifndef VMM_SNAPSHOT_SNAPSHOT_H
#define VMM_SNAPSHOT_SNAPSHOT_H

#include "machine/machine.h"

/*
 * struct snapshot - one that is read
 * @message: its state; no descriptors are taken out of it
 * @path: the directory, which is the caller's
 * @size: of `memory`, in bytes
 * @step: what was tried last, for the message if it failed
 */
struct snapshot {
	struct gmem_message message;
	const char *path;
	uint64_t size;
	const char *step;
};

/*
 * Keep a machine that stands still in @dir, which is made; where that fails, there
 * is no `state` in it. Returns 0 or -errno: EOPNOTSUPP: it is not a PC, or its
 * memory is private.
 */
int snapshot_save(struct machine *machine, const char *dir);

/*
 * Can a snapshot be kept in @dir? It must not be there, and can be made. 0 or -errno;
 * *todo: what a person can do about it, or NULL. It may change until it is made.
 */
int snapshot_check_place(const char *dir, const char **todo);

/*
 * Open and check the files. Returns 0 or -errno: EBADMSG: `state` is not one, or
 * damaged; EPROTONOSUPPORT: of another version; EPROTO: it says what no guest that
 * was saved here can be. To be closed in any case.
 */
int snapshot_open(struct snapshot *snapshot, const char *dir);
void snapshot_close(struct snapshot *snapshot);

/* Build its VM: memory is there, and all missing. */
int snapshot_build(struct snapshot *snapshot, struct machine *machine);

/*
 * Give all of the memory its content; where `memory.sums` is, what has been checked.
 * -EBADMSG: a page is not what it must be, which was said.
 */
int snapshot_populate(struct snapshot *snapshot, struct machine *machine);

/* Give vCPUs and devices their state: that reads and writes memory. */
int snapshot_set_state(struct snapshot *snapshot, struct machine *machine);

/* ---- The file `state`: file.c ---- */

/* Appears in the directory whole, or not at all. */
int snapshot_write_state(int dir, const struct gmem_message *message);
int snapshot_read_state(int dir, struct gmem_message *message);

#endif /* VMM_SNAPSHOT_SNAPSHOT_H */
