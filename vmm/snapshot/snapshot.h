/* SPDX-License-Identifier: MIT */
/*
 * A guest in a directory: `memory`, raw, and `state`. docs/snapshot.md has the
 * format. A reader believes nothing of it.
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
 * struct snapshot_copy - all that a machine is but its memory
 * @message: its state, as bytes, of which there are @length
 * @step: of snapshot_write(): what was tried last
 */
struct snapshot_copy {
	struct machine *machine;
	void *message;
	size_t length;
	const char *step;
};

/*
 * Can this machine be kept? -EOPNOTSUPP: it is not a PC; -EPERM: its memory is private, and
 * nobody has said that the snapshot is to expose that.
 */
int snapshot_check_machine(struct machine *machine, bool exposes);

/*
 * Copy the state of a machine that stands still, and whose devices are idle: by the main
 * loop's thread. 0 or -errno, and the machine's @step; snapshot_copy_free() in any case.
 */
int snapshot_capture(struct machine *machine, struct snapshot_copy *copy);
void snapshot_copy_free(struct snapshot_copy *copy);

/*
 * Write the copy and the machine's memory, which nobody changes meanwhile, into new files,
 * and close these; any thread. 0 or -errno, and then they are empty: -ECANCELED: *cancelled
 * was set. It never takes long until that is looked at.
 */
int snapshot_write(struct snapshot_copy *copy, struct snapshot_fds *files,
		   const bool *cancelled);

/*
 * Can a snapshot be kept in @dir? It must not be there, and can be made. 0 or -errno;
 * *todo: what a person can do about it, or NULL. It may change until it is made.
 */
int snapshot_check_place(const char *dir, const char **todo);

/*
 * Open and check the files. Returns 0 or -errno: ENODATA: `state` is not written yet;
 * EBADMSG: it is not one, or damaged; EPROTONOSUPPORT: of another version; EPROTO: it says
 * what no guest that was saved here can be; ELOOP: a file is a link. To be closed in any case.
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

/*
 * Share what the guest had shared, if it began private, and give vCPUs and devices their
 * state: that reads and writes memory.
 */
int snapshot_set_state(struct snapshot *snapshot, struct machine *machine);

/* ---- The file `state`: file.c ---- */

/* All of it, and synced; @message as it is encoded. */
int snapshot_write_state(int fd, const void *message, size_t length);
int snapshot_read_state(int dir, struct gmem_message *message);

/*
 * Does this directory look like a snapshot that is complete: a header of `state` that goes with
 * its length, whole pages in `memory`? 0 or -errno, as snapshot_open() has it.
 */
int snapshot_check_kept(int dir);

#endif /* VMM_SNAPSHOT_SNAPSHOT_H */
