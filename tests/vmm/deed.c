// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deed.h"

int deed_file = -1;
int (*deed_confine)(void);

static const struct call *chosen;

int deed_do(deed deed)
{
	int status;
	pid_t pid;

	deed_file = open("/proc/self/exe", O_RDONLY);
	assert_true(deed_file > 2);
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(deed_confine() ? 99 : deed());
	close(deed_file);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

void deed_kills(deed deed, const char *what, long number)
{
	int status = deed_do(deed);

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
		fail_msg("%s %ld: wait status 0x%x", what, number, status);
}

static int make_call(void)
{
	const long *a = chosen->arguments;

	return syscall(chosen->number, a[0], a[1], a[2], a[3], a[4]) < 0 ? REFUSED : DONE;
}

void deed_calls_kill(const struct call *calls, size_t nr)
{
	for (chosen = calls; chosen < calls + nr; chosen++)
		deed_kills(make_call, "system call", chosen->number);
}

int deed_map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, deed_file, 0) == MAP_FAILED ?
	       REFUSED : DONE;
}
