/* SPDX-License-Identifier: MIT */
/*
 * A guest in a directory: `memory`, raw, and `state`. docs/snapshot.md has the format. A reader
 * trusts nothing in them.
 */
#ifndef VMM_SNAPSHOT_SNAPSHOT_H
#define VMM_SNAPSHOT_SNAPSHOT_H

#include "machine/machine.h"

struct snapshot_fds;

/*
 * struct snapshot - one that is read
 * @message: its state; no descriptors are taken out of it
 * @dir: the directory, until the machine's state is set; or -1
 * @size: of `memory`, in bytes
 * @step: what was tried last, for the message if it failed
 */
struct snapshot {
	struct gmem_message message;
	int dir;
	uint64_t size;
	const char *step;
};

/*
 * struct snapshot_copy - all of a machine's state, without its memory
 * @message: its state, @length bytes
 * @step: of snapshot_write(): what was tried last
 */
struct snapshot_copy {
	struct machine *machine;
	void *message;
	size_t length;
	const char *step;
};

/*
 * Can this machine be kept? -EOPNOTSUPP: it is not a PC; -EPERM: its memory is private, and nobody
 * has allowed the snapshot to expose it.
 */
int snapshot_check_machine(struct machine *machine, bool exposes);

/*
 * Copy the state of a machine that stands still and whose devices are idle. Called by the main
 * loop's thread. Returns 0, or -errno and the machine's @step. Call snapshot_copy_free() in any
 * case.
 */
int snapshot_capture(struct machine *machine, struct snapshot_copy *copy);
void snapshot_copy_free(struct snapshot_copy *copy);

/*
 * Write the copy and the machine's memory, which nobody changes meanwhile, into new files, and
 * close these. Any thread. Returns 0, or -errno, and then the files are empty. -ECANCELED:
 * *cancelled was set, which is checked often.
 */
int snapshot_write(struct snapshot_copy *copy, struct snapshot_fds *files,
		   const bool *cancelled);

/*
 * Can a snapshot be kept in @dir? @dir must not exist, but it must be possible to make it. Returns
 * 0, or -errno with *todo: what a person can do about it, or NULL. This may change until @dir is
 * made.
 */
int snapshot_check_place(const char *dir, const char **todo);

/*
 * Open and check the files. Returns 0 or -errno: ENODATA: `state` is not written yet;
 * EBADMSG: it is not one, or damaged; EPROTONOSUPPORT: of another version; EPROTO: it describes a
 * guest that this program cannot have saved; ELOOP: a file is a link. The caller must close the
 * snapshot in any case.
 */
int snapshot_open(struct snapshot *snapshot, const char *dir);
void snapshot_close(struct snapshot *snapshot);

/* Build its VM. All pages of its memory are missing. */
int snapshot_build(struct snapshot *snapshot, struct machine *machine);

/*
 * Give all of the memory its content, which is checked if there is a `memory.sums`. -EBADMSG: a
 * page does not match its sum; an error message was printed.
 */
int snapshot_populate(struct snapshot *snapshot, struct machine *machine);

/*
 * If the guest began private, share the pages that it had shared. Then give vCPUs and devices their
 * state, which reads and writes memory.
 */
int snapshot_set_state(struct snapshot *snapshot, struct machine *machine);

/* ---- The file `state`: file.c ---- */

/* Write all of the file, and sync it; @message is the encoded message. */
int snapshot_write_state(int fd, const void *message, size_t length);
int snapshot_read_state(int dir, struct gmem_message *message);

/*
 * Does this directory look like a complete snapshot? The header of `state` must match its length,
 * and `memory` must have whole pages. 0 or -errno, as snapshot_open().
 */
int snapshot_check_kept(int dir);

#endif /* VMM_SNAPSHOT_SNAPSHOT_H */
