// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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
	/* Sync the names to the disk before the content, even if this process dies. */
	if (fds->state >= 0 && !fsync(dir))
		return 0;
	ret = fds->state < 0 ? fds->state : -errno;
	close(fds->memory);
	if (fds->state >= 0)
		close(fds->state);
	return ret;
}

/* Splits @path, and opens the directory in which it will be made. */
static int open_parent(struct snapshot_files *files, const char *path)
{
	char parent[4096];
	char *name, *end;

	if (snprintf(parent, sizeof(parent), "%s", path) >= (int)sizeof(parent))
		return -ENAMETOOLONG;
	if (!*parent)
		return -ENOENT;
	end = parent + strlen(parent);
	while (end > parent && end[-1] == '/')
		*--end = '\0';
	name = strrchr(parent, '/');
	name = name ? name + 1 : parent;
	if (!*name)
		return -EEXIST;
	if (snprintf(files->name, sizeof(files->name), "%s", name) >= (int)sizeof(files->name))
		return -ENAMETOOLONG;
	*name = '\0';
	files->parent = open(*parent ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return files->parent < 0 ? -errno : 0;
}

/* Another user who can write to the parent may have put another directory in its place. */
static int open_own(struct snapshot_files *files)
{
	struct stat st;

	files->dir = openat(files->parent, files->name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (files->dir < 0)
		return -errno;
	if (!fstat(files->dir, &st) && st.st_uid == geteuid() && !(st.st_mode & 077))
		return 0;
	close(files->dir);
	files->dir = -1;
	return -EPERM;
}

static void close_both(struct snapshot_files *files)
{
	close(files->dir);
	close(files->parent);
	files->dir = -1;
	files->parent = -1;
}

int snapshot_files_make(struct snapshot_files *files, const char *path,
			struct snapshot_fds *fds)
{
	int ret = open_parent(files, path);

	files->dir = -1;
	if (ret)
		return ret;
	ret = mkdirat(files->parent, files->name, 0700) ? -errno : 0;
	if (!ret) {
		ret = open_own(files);
		if (ret && ret != -EPERM)
			unlinkat(files->parent, files->name, AT_REMOVEDIR);
	}
	if (ret) {
		close(files->parent);
		files->parent = -1;
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
	close_both(files);
	return 0;
}

/* It may have been renamed, and another one may be in its place: do not remove that. */
static int remove_dir(const struct snapshot_files *files)
{
	struct stat own, now;

	if (fstat(files->dir, &own) ||
	    fstatat(files->parent, files->name, &now, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (own.st_dev != now.st_dev || own.st_ino != now.st_ino)
		return -ENOENT;
	return unlinkat(files->parent, files->name, AT_REMOVEDIR) ? -errno : 0;
}

/* Half a file is useless, and may fill the disk. */
int snapshot_files_drop(struct snapshot_files *files)
{
	int ret;

	if (files->dir < 0)
		return -EBADF;
	unlinkat(files->dir, MEMORY, 0);
	unlinkat(files->dir, STATE, 0);
	ret = remove_dir(files);
	close_both(files);
	return ret;
}
