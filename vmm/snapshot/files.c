// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot/files.h"

#define MEMORY	"memory"
#define STATE	"state"

static int make_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static int make_both(int dir, struct snapshot_fds *fds)
{
	int ret;

	fds->memory = make_file(dir, MEMORY);
	if (fds->memory < 0)
		return fds->memory;
	fds->state = make_file(dir, STATE);
	/* Their names are on the disk before their content, whoever lives to see that there. */
	if (fds->state >= 0 && !fsync(dir))
		return 0;
	ret = fds->state < 0 ? fds->state : -errno;
	close(fds->memory);
	if (fds->state >= 0)
		close(fds->state);
	return ret;
}

int snapshot_files_make(struct snapshot_files *files, const char *path,
			struct snapshot_fds *fds)
{
	int ret;

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
	ret = make_both(files->dir, fds);
	if (ret)
		snapshot_files_drop(files);
	return ret;
}

int snapshot_files_keep(struct snapshot_files *files)
{
	if (files->dir < 0)
		return -EBADF;
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
	unlinkat(files->dir, STATE, 0);
	close(files->dir);
	files->dir = -1;
	return rmdir(files->path) ? -errno : 0;
}
