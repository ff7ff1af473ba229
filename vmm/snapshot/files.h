/* SPDX-License-Identifier: MIT */
/*
 * The files of a new snapshot, in a new directory. A process that has the right to makes them: the
 * command 'gmem snapshot', or a VMM's helper. The VMM writes them, and has only their descriptors.
 * It writes `state` when everything else is on the disk: a directory whose `state` is empty or has
 * a wrong sum is not a snapshot.
 */
#ifndef VMM_SNAPSHOT_FILES_H
#define VMM_SNAPSHOT_FILES_H

/*
 * struct snapshot_files - a snapshot that is being written
 * @dir: its directory, or -1: there is none
 * @parent: the directory that contains @dir, as long as that exists
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

/* Returns 0 and @fds, which belong to the caller; or -errno, and nothing was made. */
int snapshot_files_make(struct snapshot_files *files, const char *path,
			struct snapshot_fds *fds);

/* The snapshot is written: do not remove it any more. -EBADF: there is none. */
int snapshot_files_keep(struct snapshot_files *files);

/* Remove the snapshot, if there is one that is not kept. 0 or -errno. */
int snapshot_files_drop(struct snapshot_files *files);

#endif /* VMM_SNAPSHOT_FILES_H */
