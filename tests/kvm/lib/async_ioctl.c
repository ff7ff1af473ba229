// SPDX-License-Identifier: GPL-2.0-only
/*
 * An ioctl asked by a process of its own: see async_ioctl.h.
 */
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "async_ioctl.h"

#define STACK_SIZE 65536

/* Not by the C library, whose errno is the caller's: they share a thread area. */
static long raw_syscall(long number, long a, long b, long c)
{
	long ret;

	asm volatile("syscall" : "=a"(ret) : "0"(number), "D"(a), "S"(b), "d"(c)
		     : "rcx", "r11", "memory");
	return ret;
}

static int async_ioctl_main(void *arg)
{
	struct async_ioctl *a = arg;

	a->result = raw_syscall(SYS_ioctl, a->fd, a->request, a->arg);
	raw_syscall(SYS_exit_group, 0, 0, 0);
	return 0;
}

void async_ioctl_start(struct async_ioctl *a, int fd, unsigned long request, unsigned long arg)
{
	a->fd = fd;
	a->request = request;
	a->arg = arg;
	a->stack = malloc(STACK_SIZE);
	if (!a->stack)
		err(1, "a stack");
	a->pid = clone(async_ioctl_main, (char *)a->stack + STACK_SIZE,
		       CLONE_VM | CLONE_FILES | SIGCHLD, a);
	if (a->pid < 0)
		err(1, "clone");
}

static char asker_state(const struct async_ioctl *a)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", a->pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		err(1, "%s", path);
	fclose(f);
	return state;
}

void async_ioctl_blocked(struct async_ioctl *a)
{
	char state;

	/* Once is not enough: it may sleep for a moment on its way, for memory. */
	for (int times = 0; times < 3; ) {
		state = asker_state(a);
		if (state == 'Z')
			errx(1, "an ioctl was to wait, and returned %ld", a->result);
		times = state == 'D' ? times + 1 : 0;
		usleep(5000);
	}
}

bool async_ioctl_is_done(const struct async_ioctl *a)
{
	return asker_state(a) == 'Z';
}

/* Returns how it ended. */
static int async_ioctl_reap(struct async_ioctl *a)
{
	int status;

	if (waitpid(a->pid, &status, 0) != a->pid)
		err(1, "waitpid");
	free(a->stack);
	return status;
}

long async_ioctl_result(struct async_ioctl *a)
{
	int status = async_ioctl_reap(a);

	if (!WIFEXITED(status))
		errx(1, "a process that made an ioctl ended with status %#x", status);
	return a->result;
}

void async_ioctl_kill(struct async_ioctl *a)
{
	int status;

	kill(a->pid, SIGKILL);
	status = async_ioctl_reap(a);
	if (!WIFSIGNALED(status))
		errx(1, "a process that was to be killed ended with status %#x", status);
}
