// SPDX-License-Identifier: GPL-2.0-only
/*
 * An ioctl asked by a process of its own: see asker.h.
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

#include "asker.h"

#define STACK_SIZE 65536

/* Not by the C library, whose errno is the caller's: they share a thread area. */
static long raw_syscall(long number, long a, long b, long c)
{
	long ret;

	asm volatile("syscall" : "=a"(ret) : "0"(number), "D"(a), "S"(b), "d"(c)
		     : "rcx", "r11", "memory");
	return ret;
}

static int asker_main(void *arg)
{
	struct asker *a = arg;

	a->answer = raw_syscall(SYS_ioctl, a->fd, a->request, a->arg);
	raw_syscall(SYS_exit_group, 0, 0, 0);
	return 0;
}

void ask(struct asker *a, int fd, unsigned long request, unsigned long arg)
{
	a->fd = fd;
	a->request = request;
	a->arg = arg;
	a->stack = malloc(STACK_SIZE);
	if (!a->stack)
		err(1, "a stack");
	a->pid = clone(asker_main, (char *)a->stack + STACK_SIZE,
		       CLONE_VM | CLONE_FILES | SIGCHLD, a);
	if (a->pid < 0)
		err(1, "clone");
}

static char asker_state(const struct asker *a)
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

void asker_blocked(struct asker *a)
{
	char state;

	/* Once is not enough: it may sleep for a moment on its way, for memory. */
	for (int times = 0; times < 3; ) {
		state = asker_state(a);
		if (state == 'Z')
			errx(1, "an ioctl was to wait, and returned %ld", a->answer);
		times = state == 'D' ? times + 1 : 0;
		usleep(5000);
	}
}

bool asker_is_done(const struct asker *a)
{
	return asker_state(a) == 'Z';
}

/* Returns how it ended. */
static int asker_reap(struct asker *a)
{
	int status;

	if (waitpid(a->pid, &status, 0) != a->pid)
		err(1, "waitpid");
	free(a->stack);
	return status;
}

long asker_answer(struct asker *a)
{
	int status = asker_reap(a);

	if (!WIFEXITED(status))
		errx(1, "a process that made an ioctl ended with status %#x", status);
	return a->answer;
}

void asker_kill(struct asker *a)
{
	int status;

	kill(a->pid, SIGKILL);
	status = asker_reap(a);
	if (!WIFSIGNALED(status))
		errx(1, "a process that was to be killed ended with status %#x", status);
}
