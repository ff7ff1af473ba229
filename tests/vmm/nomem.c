// SPDX-License-Identifier: MIT
/*
 * Loaded into a page server in front of the C library: its pager has no memory for the first
 * GMEM_TEST_NOMEM answers or, with GMEM_TEST_NOMEM_RING, for the first so many calls that carry out
 * the ring's answers. Without the latter it has no ring.
 */
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static long left;
static unsigned long fails, missing;

/* Before there is a filter of system calls. */
__attribute__((constructor)) static void begin(void)
{
	const char *number = getenv("GMEM_TEST_NOMEM");

	left = number ? atol(number) : 0;
	fails = getenv("GMEM_TEST_NOMEM_RING") ? KVM_GMEM_PAGER_ENTER : KVM_GMEM_PAGER_ANSWER;
	missing = getenv("GMEM_TEST_NOMEM_RING") ? 0 : KVM_GMEM_PAGER_RING;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list rest;
	void *argument;

	va_start(rest, request);
	argument = va_arg(rest, void *);
	va_end(rest);
	if (request == missing) {
		errno = ENOTTY;
		return -1;
	}
	if (request == fails && left > 0) {
		left--;
		errno = ENOMEM;
		return -1;
	}
	return syscall(SYS_ioctl, fd, request, argument);
}
