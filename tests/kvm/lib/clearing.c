// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which page frames the kernel clears: see clearing.h. The functions that clear a page
 * can't be probed, so the CPU watches the frames: a breakpoint on what is written to the
 * first word of each.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "claims.h"
#include "clearing.h"

/* Where the kernel has all memory mapped, with 4 levels of page tables and nokaslr. */
#define DIRECT_MAP	0xffff888000000000ULL

static struct {
	uint64_t pfn;
	int fd;
} watched[2];

bool allocator_clears(void)
{
	char line[4096] = "";
	int fd = open("/proc/cmdline", O_RDONLY);

	if (read(fd, line, sizeof(line) - 1) <= 0)
		err(1, "read /proc/cmdline");
	close(fd);
	return !strstr(line, "init_on_alloc=0");
}

static int watch(uint64_t pfn)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT, .size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W, .bp_addr = DIRECT_MAP + (pfn << 12),
		.bp_len = HW_BREAKPOINT_LEN_8,
	};
	int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		err(1, "a breakpoint on frame %#llx", (unsigned long long)pfn);
	return fd;
}

void clearing_watch(uint64_t pfn, uint64_t other)
{
	watched[0].pfn = pfn;
	watched[0].fd = watch(pfn);
	watched[1].pfn = other;
	watched[1].fd = pfn == other ? watched[0].fd : watch(other);
}

bool was_cleared(uint64_t pfn)
{
	int fd = watched[watched[0].pfn == pfn ? 0 : 1].fd;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		err(1, "read how often frame %#llx was written to", (unsigned long long)pfn);
	return count;
}
