// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/lock-holder.h"

/* Does a descriptor of a process, by its file in fdinfo, hold a lock on this inode? */
static bool holds(int dir, const char *name, const char *inode)
{
	char line[256];
	bool found = false;
	FILE *file;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!file) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && fgets(line, sizeof(line), file))
		found = !strncmp(line, "lock:", 5) && strstr(line, inode);
	fclose(file);
	return found;
}

/* @any: the task has descriptors at all */
static bool task_holds(int tasks, const char *task, const char *inode, bool *any)
{
	char path[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "%.32s/fdinfo", task);
	fd = openat(tasks, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && (entry = readdir(dir))) {
		if (!isdigit(entry->d_name[0]))
			continue;
		*any = true;
		found = holds(dirfd(dir), entry->d_name, inode);
	}
	closedir(dir);
	return found;
}

/*
 * The first thread may have ended, and then has no descriptors any more, though the process lives.
 * All threads share their descriptors, so one thread is enough.
 */
bool lock_is_held_by(pid_t pid, const struct stat *file)
{
	char path[64], inode[64];
	struct dirent *entry;
	bool found = false, any = false;
	DIR *dir;

	snprintf(inode, sizeof(inode), " %02x:%02x:%" PRIu64 " ", major(file->st_dev),
		 minor(file->st_dev), (uint64_t)file->st_ino);
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && !any && (entry = readdir(dir)))
		if (isdigit(entry->d_name[0]))
			found = task_holds(dirfd(dir), entry->d_name, inode, &any);
	if (dir)
		closedir(dir);
	return found;
}

pid_t lock_find_holder(const struct stat *file)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (dir && !found && (entry = readdir(dir)))
		if (isdigit(entry->d_name[0]) && lock_is_held_by(atoi(entry->d_name), file))
			found = atoi(entry->d_name);
	if (dir)
		closedir(dir);
	return found;
}

pid_t process_parent(pid_t pid)
{
	char path[64], text[256] = "";
	const char *end;
	int fd, parent;
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	/* The name, in parentheses, may itself contain parentheses. */
	end = got > 0 ? strrchr(text, ')') : NULL;
	return end && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}
