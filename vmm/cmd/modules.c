// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd/modules.h"

/* The first line of a file, or an empty string if there is none. */
static void read_line(const char *path, char *line, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, line, size - 1);

	if (fd >= 0)
		close(fd);
	line[length > 0 ? length : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
}

void modules_version(char *version, size_t size)
{
	read_line("/sys/module/kvm/version", version, size);
}

bool modules_installed(void)
{
	static const char *const ends[] = { "", ".xz", ".zst", ".gz" };
	struct utsname kernel;
	char path[PATH_MAX];
	size_t i;

	if (uname(&kernel))
		return false;
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(path, sizeof(path), "/lib/modules/%s/updates/dkms/kvm.ko%s",
			 kernel.release, ends[i]);
		if (!access(path, F_OK))
			return true;
	}
	return false;
}

bool modules_must_be_signed(void)
{
	char line[128];

	read_line("/sys/module/module/parameters/sig_enforce", line, sizeof(line));
	if (*line == 'Y')
		return true;
	/* The current state is in brackets. */
	read_line("/sys/kernel/security/lockdown", line, sizeof(line));
	return strstr(line, "[integrity]") || strstr(line, "[confidentiality]");
}
