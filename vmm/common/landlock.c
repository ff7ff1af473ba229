// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/landlock.h"

/* Debian 12's headers are of Linux 6.1, and know only the first of these. */
struct ruleset {
	uint64_t files;
	uint64_t network;
	uint64_t scoped;
};

#define VERSION		1U		/* a flag: tell it */
#define LENGTH(array)	(sizeof(array) / sizeof((array)[0]))

/* Everything that Landlock can forbid, by the version that added it. */
static const struct {
	struct ruleset all;
	size_t size;
} known[] = {
	{ { .files = (1 << 13) - 1 }, 8 },
	{ { .files = (1 << 14) - 1 }, 8 },				/* moving files */
	{ { .files = (1 << 15) - 1 }, 8 },				/* truncating */
	{ { .files = (1 << 15) - 1, .network = 3 }, 16 },		/* TCP */
	{ { .files = (1 << 16) - 1, .network = 3 }, 16 },		/* ioctl of devices */
	{ { .files = (1 << 16) - 1, .network = 3, .scoped = 3 }, 24 },	/* sockets, signals */
};

int landlock_no_files(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION);
	int fd, ret = 0;
	size_t i;

	if (version <= 0)	/* not built in, or not among those that are started */
		return version && errno != ENOSYS && errno != EOPNOTSUPP ? -errno : 0;
	i = (size_t)version > LENGTH(known) ? LENGTH(known) : (size_t)version;
	fd = syscall(SYS_landlock_create_ruleset, &known[i - 1].all, known[i - 1].size, 0);
	if (fd < 0)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_landlock_restrict_self, fd, 0))
		ret = -errno;
	close(fd);
	return ret ? ret : (int)i;
}
