/* SPDX-License-Identifier: MIT */
/*
 * The files of a new snapshot, in a new directory. They are made by a process that may: the
 * command 'gmem snapshot', or a VMM's helper. They are written by the VMM, which has no more
 * than their descriptors. It writes `state` when all else is on the disk: one whose sum is
 * not right, or that is empty, makes a directory no snapshot.
 */
#ifndef VMM_SNAPSHOT_FILES_H
#define VMM_SNAPSHOT_FILES_H

/*
 * struct snapshot_files - a snapshot that is being written
 * @dir: its directory, or -1: there is none
 * @parent: the directory that has it, while it is there
 * @name: its name in that
 */
struct snapshot_files {
	int dir;
	int parent;
	char name[256];
};

/* struct snapshot_fds - its two files, open for writing */
struct snapshot_fds {
	int memory;
	int state;
};

/* 0 and @fds, which are the caller's; or -errno, and there is nothing. */
int snapshot_files_make(struct snapshot_files *files, const char *path,
			struct snapshot_fds *fds);

/* It is written, and is not to be removed any more. -EBADF: there is none. */
int snapshot_files_keep(struct snapshot_files *files);

/* Remove it, if there is one that is not kept. 0 or -errno. */
int snapshot_files_drop(struct snapshot_files *files);

#endif /* VMM_SNAPSHOT_FILES_H */
