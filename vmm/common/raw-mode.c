// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "common/raw-mode.h"

/* Those that end a process and are not waited for by anybody. */
static const int deadly[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP };

static struct termios before;
static volatile sig_atomic_t raw_fd = -1;

void raw_mode_end(void)
{
	if (raw_fd < 0)
		return;
	tcsetattr(raw_fd, TCSADRAIN, &before);
	raw_fd = -1;
}

/* tcsetattr() may be called here: signal-safety(7). */
static void die(int signal_number)
{
	if (raw_fd >= 0)
		tcsetattr(raw_fd, TCSANOW, &before);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

int raw_mode_begin(int fd)
{
	static bool prepared;
	struct termios raw;
	size_t i;

	if (tcgetattr(fd, &before))
		return -errno;
	if (tcgetpgrp(fd) != getpgrp())
		return -ENOTTY;
	for (i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		signal(deadly[i], die);
	if (!prepared)
		atexit(raw_mode_end);
	prepared = true;
	raw = before;
	cfmakeraw(&raw);
	raw.c_oflag = before.c_oflag;
	raw_fd = fd;
	if (!tcsetattr(fd, TCSADRAIN, &raw))
		return 0;
	raw_fd = -1;
	return -errno;
}
