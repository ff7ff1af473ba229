/* SPDX-License-Identifier: MIT */
/* gmem_ioctl() in a program linked with --wrap=gmem_ioctl. */
#ifndef TESTS_LIB_KERNEL_H
#define TESTS_LIB_KERNEL_H

/* The test's, which the library calls in place of the kernel. */
int __wrap_gmem_ioctl(int fd, unsigned long request, const void *arg);

#endif /* TESTS_LIB_KERNEL_H */
