/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An ioctl asked by a process of its own. That process shares the caller's
 * memory and files, so that KVM takes it for the VM's; it can be seen to wait,
 * and be killed while it does.
 */
#ifndef GMEM_TESTS_ASYNC_IOCTL_H
#define GMEM_TESTS_ASYNC_IOCTL_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * struct async_ioctl - such a process
 * @fd: asked of what
 * @request: the ioctl
 * @arg: its argument
 * @result: what it returned, or -errno
 * @pid: the process
 * @stack: its stack
 */
struct async_ioctl {
	int fd;
	unsigned long request;
	unsigned long arg;
	long result;
	pid_t pid;
	void *stack;
};

void async_ioctl_start(struct async_ioctl *a, int fd, unsigned long request, unsigned long arg);
/* Waits until it sleeps in the kernel where only what is fatal wakes it: for a lock. */
void async_ioctl_blocked(struct async_ioctl *a);
/* Has it ended? If so, async_ioctl_result() does not wait. */
bool async_ioctl_is_done(const struct async_ioctl *a);
/* Waits for its end: what the ioctl returned, or -errno. */
long async_ioctl_result(struct async_ioctl *a);
/* Kills it, and waits for its end. */
void async_ioctl_kill(struct async_ioctl *a);

#endif /* GMEM_TESTS_ASYNC_IOCTL_H */
