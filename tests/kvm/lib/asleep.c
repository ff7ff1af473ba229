// SPDX-License-Identifier: GPL-2.0-only
/* Threads that sleep in the kernel: see asleep.h. */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "asleep.h"
#include "claims.h"

/* The C library knows the id, and does not tell it: but that of the thread's clock has it. */
pid_t thread_id(pthread_t thread)
{
	clockid_t clock;

	if (pthread_getcpuclockid(thread, &clock))
		errx(1, "a thread has ended that was to go on");
	return ~(clock >> 3);
}

static void read_proc(pid_t tid, const char *name, char *text, size_t size)
{
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	f = fopen(path, "r");
	if (!f)
		err(1, "%s: it was to sleep", path);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	fclose(f);
}

/*
 * A thread that is about to sleep has that state too; of one on a CPU there is no stack. What
 * the compiler made of a function may have a suffix: "[<0>] function.part.0+0x1/0x2".
 */
static bool has_stack(pid_t tid, const char *function, char *stack, size_t size)
{
	char frame[64];
	const char *at;

	read_proc(tid, "stack", stack, size);
	snprintf(frame, sizeof(frame), "] %s", function);
	at = strstr(stack, frame);
	return at && strchr("+.", at[strlen(frame)]);
}

static char state_of(pid_t tid)
{
	char stat[512], *name_end;

	read_proc(tid, "stat", stat, sizeof(stat));
	name_end = strrchr(stat, ')');
	return name_end ? name_end[2] : '?';
}

static bool sleeps(pid_t tid, const char *function, char *stack, size_t size)
{
	char state;

	if (!has_stack(tid, function, stack, size))
		return false;
	state = state_of(tid);
	return state == 'S' || state == 'D';
}

bool is_asleep(pid_t tid, const char *function)
{
	char stack[4096];

	return sleeps(tid, function, stack, sizeof(stack));
}

void wait_asleep(pid_t tid, const char *function)
{
	char stack[4096];
	double until = 0;

	while (!sleeps(tid, function, stack, sizeof(stack))) {
		if (!claim_is_patient(&until))
			errx(1, "thread %d does not come to sleep in %s; it is in state %c:\n%s",
			     tid, function, state_of(tid), stack);
	}
}

unsigned long times_slept(pid_t tid)
{
	char path[64], line[128];
	unsigned long n = 0;
	bool told = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = fopen(path, "r");
	if (!f)
		err(1, "%s: it was to sleep", path);
	while (!told && fgets(line, sizeof(line), f))
		told = sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1;
	fclose(f);
	if (!told)
		errx(1, "%s does not tell how often thread %d has slept", path, tid);
	return n;
}
