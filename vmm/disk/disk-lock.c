// SPDX-License-Identifier: MIT
/*
 * Two guests that write to one image destroy it. The lock belongs to the open file: a process that
 * gets the descriptor has the lock too, and the last close ends it. Readers share the lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/lock-holder.h"
#include "common/say.h"
#include "disk/disk.h"

#define LEFT_FOR	1000000000ULL	/* ns */
#define PAUSE		20		/* ms */

static void command_of(pid_t pid, char *command, size_t size)
{
	char path[64];
	ssize_t length = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		length = read(fd, command, size - 1);
		close(fd);
	}
	command[length > 0 ? length : 0] = '\0';
	command[strcspn(command, "\n")] = '\0';
	make_printable(command);
}

static bool name_holder(int fd, char *why)
{
	char command[32];
	struct stat st;
	pid_t pid = fstat(fd, &st) ? 0 : lock_find_holder(&st);

	if (!pid)
		return false;
	command_of(pid, command, sizeof(command));
	snprintf(why, DISK_WHY, "process %d (%s) has it locked", (int)pid, command);
	return true;
}

/*
 * A killed VMM's lock stays for a moment, because its ring still has the file. No process owns such
 * a lock.
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
