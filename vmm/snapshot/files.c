// SPDX-License-Identifier: MIT
/*
 * A snapshot's files: new ones, in a new directory. A VMM that is hostile can have such
 * directories made, and reaches no file that was there before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper/parts.h"

#define MEMORY	"memory"
#define STATE	"state"
#define PARTIAL	"state.new"	/* it has its name when all is written */

static int make_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static int make_files(int dir, int *fds)
{
	fds[0] = make_file(dir, MEMORY);
	if (fds[0] < 0)
		return fds[0];
	fds[1] = make_file(dir, PARTIAL);
	if (fds[1] >= 0)
		return 0;
	close(fds[0]);
	return fds[1];
}

int snapshot_files_make(struct snapshot_files *files, const char *path, int *fds)
{
	int ret;

	if (files->dir >= 0)
		return -EBUSY;
	if (snprintf(files->path, sizeof(files->path), "%s", path) >= (int)sizeof(files->path))
		return -ENAMETOOLONG;
	if (mkdir(path, 0700))
		return -errno;
	files->dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (files->dir < 0) {
		ret = -errno;
		rmdir(path);
		return ret;
	}
	ret = make_files(files->dir, fds);
	if (ret)
		snapshot_files_drop(files);
	return ret;
}

int snapshot_files_keep(struct snapshot_files *files)
{
	int ret = 0;

	if (files->dir < 0)
		return -EBADF;
	if (renameat(files->dir, PARTIAL, files->dir, STATE) || fsync(files->dir))
		ret = -errno;
	if (ret) {
		unlinkat(files->dir, STATE, 0);
		snapshot_files_drop(files);
		return ret;
	}
	close(files->dir);
	files->dir = -1;
	return 0;
}

/* Half of it is good for nothing, and the disk may be full of it. */
int snapshot_files_drop(struct snapshot_files *files)
{
	if (files->dir < 0)
		return -EBADF;
	unlinkat(files->dir, MEMORY, 0);
	unlinkat(files->dir, PARTIAL, 0);
	close(files->dir);
	files->dir = -1;
	return rmdir(files->path) ? -errno : 0;
}
