// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/interrupt.h"
#include "common/say.h"
#include "common/status.h"

static void *interrupt_loop(void *data)
{
	const struct interrupt *interrupt = data;
	struct pollfd wait[] = {
		{ .fd = interrupt->stop_fd, .events = POLLIN },
		{ .fd = interrupt->signals, .events = POLLIN },
	};

	while (poll(wait, 2, -1) < 0)
		;
	if (wait[0].revents)
		return NULL;
	say("ended before the guest ran");
	fflush(stdout);
	_exit(EXIT_DONE);
}

int interrupt_begin(struct interrupt *interrupt)
{
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	interrupt->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (interrupt->signals < 0)
		return -errno;
	interrupt->stop_fd = eventfd(0, EFD_CLOEXEC);
	ret = interrupt->stop_fd < 0 ? -errno :
	      -pthread_create(&interrupt->thread, NULL, interrupt_loop, interrupt);
	if (!ret)
		return 0;
	if (interrupt->stop_fd >= 0)
		close(interrupt->stop_fd);
	close(interrupt->signals);
	return ret;
}

void interrupt_end(struct interrupt *interrupt)
{
	uint64_t one = 1;

	if (write(interrupt->stop_fd, &one, sizeof(one)) > 0)
		pthread_join(interrupt->thread, NULL);
	close(interrupt->stop_fd);
	close(interrupt->signals);
}
