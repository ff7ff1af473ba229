/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An ioctl asked by a process of its own. That process shares the caller's
 * memory and files, so that KVM takes it for the VM's; it can be seen to wait,
 * and be killed while it does.
 */
#ifndef GMEM_TESTS_ASKER_H
#define GMEM_TESTS_ASKER_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * struct asker - such a process
 * @fd: asked of what
 * @request: the ioctl
 * @arg: its argument
 * @answer: what it returned, or -errno
 * @pid: the process
 * @stack: its stack
 */
struct asker {
	int fd;
	unsigned long request;
	unsigned long arg;
	long answer;
	pid_t pid;
	void *stack;
};

void ask(struct asker *a, int fd, unsigned long request, unsigned long arg);
/* Waits until it sleeps in the kernel where only what is fatal wakes it: for a lock. */
void asker_blocked(struct asker *a);
/* Has it ended? If so, asker_answer() does not wait. */
bool asker_is_done(const struct asker *a);
/* Waits for its end: what the ioctl returned, or -errno. */
long asker_answer(struct asker *a);
/* Kills it, and waits for its end. */
void asker_kill(struct asker *a);

#endif /* GMEM_TESTS_ASKER_H */
