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

static struct termios raw_of(const struct termios *cooked)
{
	struct termios raw = *cooked;

	cfmakeraw(&raw);
	raw.c_oflag = cooked->c_oflag;
	return raw;
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
	raw = raw_of(&before);
	raw_fd = fd;
	if (!tcsetattr(fd, TCSADRAIN, &raw))
		return 0;
	raw_fd = -1;
	return -errno;
}

void raw_mode_undo(int fd, const struct termios *cooked)
{
	const struct termios raw = raw_of(cooked);
	struct termios now;

	if (!tcgetattr(fd, &now) && now.c_lflag == raw.c_lflag && now.c_iflag == raw.c_iflag)
		tcsetattr(fd, TCSANOW, cooked);
}
