/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory failure, as the hardware would report it.
 */
#ifndef GMEM_TESTS_POISON_H
#define GMEM_TESTS_POISON_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "claims.h"

#define KPF_BUDDY	(1ULL << 10)
#define KPF_HWPOISON	(1ULL << 19)

/* The file by which errors are reported; opened ahead where time counts. */
static inline int poison_open(void)
{
	int fd = open("/sys/devices/system/memory/hard_offline_page", O_WRONLY);

	if (fd < 0)
		claim_skip("this kernel can't simulate memory failure");
	return fd;
}

/*
 * Reports an uncorrected error in a page frame: 0, the kernel calls it recovered; or
 * errno, and it would kill who consumed the error. EHWPOISON: it could not split the
 * page's folio; who consumed the error goes on.
 */
static inline int poison_report(int fd, uint64_t pfn)
{
	char address[32];
	int len = snprintf(address, sizeof(address), "%#lx", pfn << 12);

	return pwrite(fd, address, len, 0) == len ? 0 : errno;
}

/*
 * The same. Where somebody has a reference to the page in that moment, the kernel
 * calls it a failure, EBUSY. Returns false for any other failure.
 */
static inline bool poison_pfn(int fd, uint64_t pfn)
{
	int err = poison_report(fd, pfn);

	return !err || err == EBUSY;
}

/* What the kernel says of a page frame: KPF_*; 0 where it can't be read. */
static inline uint64_t frame_flags(uint64_t pfn)
{
	uint64_t flags = 0;
	int fd = open("/proc/kpageflags", O_RDONLY);
	bool read = pread(fd, &flags, sizeof(flags), pfn * sizeof(flags)) == sizeof(flags);

	close(fd);
	return read ? flags : 0;
}

/* Whether the kernel has a page frame marked as bad. */
static inline bool is_poisoned(uint64_t pfn)
{
	return frame_flags(pfn) & KPF_HWPOISON;
}

#endif /* GMEM_TESTS_POISON_H */
