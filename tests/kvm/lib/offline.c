// SPDX-License-Identifier: GPL-2.0-only
/* Page frames that the kernel is told to do without: see offline.h. */
#include <fcntl.h>
#include <sys/wait.h>

#include "claims.h"
#include "offline.h"
#include "processor.h"

#define MEMORY	"/sys/devices/system/memory/"

/* Bytes of a memory block, or 0. */
static unsigned long block_size(void)
{
	int fd = open(MEMORY "block_size_bytes", O_RDONLY);
	char text[32] = "";
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? strtoul(text, NULL, 16) : 0;
}

void require_offline(void)
{
	if (!block_size())
		claim_skip("this kernel has no memory hotplug");
}

void expect_stays_online(uint64_t pfn)
{
	char path[80];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), MEMORY "memory%lu/state",
		 (unsigned long)(pfn * PAGE_SIZE / block_size()));
	pid = fork();
	if (!pid) {
		int fd;

		/* It goes on trying until somebody tells it to stop. */
		alarm(5);
		fd = open(path, O_WRONLY);
		_exit(fd >= 0 && write(fd, "offline", 7) == 7);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	TEST_ASSERT(WIFSIGNALED(status) || !WEXITSTATUS(status), "the block went offline");
}

int soft_offline_frame(uint64_t pfn)
{
	int fd = open(MEMORY "soft_offline_page", O_WRONLY);
	char address[32];
	int len = snprintf(address, sizeof(address), "%#lx", pfn << 12), ret;

	if (fd < 0)
		claim_skip("this kernel has no soft_offline_page");
	ret = pwrite(fd, address, len, 0) == len ? 0 : errno;
	close(fd);
	return ret;
}
