// SPDX-License-Identifier: MIT
/*
 * Two guests that write to one image destroy it. The lock is of the open file: a process
 * that is handed the descriptor has it too, and its last closing ends it. Readers share it.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/say.h"
#include "disk/disk.h"

#define LEFT_FOR	1000000000ULL	/* ns */
#define PAUSE		20		/* ms */

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

static bool process_holds(const char *pid, const char *inode)
{
	char path[300];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir)))
		found = isdigit(entry->d_name[0]) && holds(dirfd(dir), entry->d_name, inode);
	if (dir)
		closedir(dir);
	return found;
}

static void command_of(const char *pid, char *command, size_t size)
{
	char path[300];
	ssize_t length = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		length = read(fd, command, size - 1);
		close(fd);
	}
	command[length > 0 ? length : 0] = '\0';
	command[strcspn(command, "\n")] = '\0';
	make_printable(command);
}

/*
 * The kernel does not tell whose such a lock is, but shows each process's. In a place
 * without /proc, or with processes of others, there may be none to name.
 */
static bool name_holder(int fd, char *why)
{
	char inode[64], command[32];
	struct dirent *entry;
	bool found = false;
	struct stat st;
	DIR *dir;

	if (fstat(fd, &st))
		return false;
	snprintf(inode, sizeof(inode), " %02x:%02x:%" PRIu64 " ", major(st.st_dev),
		 minor(st.st_dev), (uint64_t)st.st_ino);
	dir = opendir("/proc");
	while (dir && !found && (entry = readdir(dir))) {
		if (!isdigit(entry->d_name[0]) || !process_holds(entry->d_name, inode))
			continue;
		command_of(entry->d_name, command, sizeof(command));
		snprintf(why, DISK_WHY, "process %.20s (%s) has it locked", entry->d_name,
			 command);
		found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

/*
 * The lock of a VMM that was killed is left for a moment: its ring has the file still. No
 * process has such a lock.
 */
int disk_lock(int fd, bool readonly, char *why)
{
	struct flock all = { .l_type = readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };
	uint64_t until = now_ns() + LEFT_FOR;

	while (fcntl(fd, F_OFD_SETLK, &all)) {
		if (errno != EAGAIN && errno != EACCES) {
			snprintf(why, DISK_WHY, "it cannot be locked");
			return -errno;
		}
		if (name_holder(fd, why))
			return -EBUSY;
		if (now_ns() >= until) {
			snprintf(why, DISK_WHY, "another process has it locked: "
				 "'fuser -v' on it, as root, names the process");
			return -EBUSY;
		}
		poll(NULL, 0, PAUSE);
	}
	return 0;
}
