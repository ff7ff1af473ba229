// SPDX-License-Identifier: MIT
#include <errno.h>
#include <sys/ioctl.h>

#include "kvm/ioctl.h"

int gmem_ioctl(int fd, unsigned long request, const void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}
