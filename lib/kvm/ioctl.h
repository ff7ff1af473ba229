/* SPDX-License-Identifier: MIT */
/* All of the library's calls into KVM go through this. Not public. */
#ifndef GMEM_IOCTL_H
#define GMEM_IOCTL_H

#include <linux/kvm_gmem.h>

/* ioctl(2), but it returns -errno. @arg: a pointer, or the integer argument. */
int gmem_ioctl(int fd, unsigned long request, const void *arg);

#endif /* GMEM_IOCTL_H */
