// SPDX-License-Identifier: MIT
/*
 * Processes that are to end. They may take their time: one that was killed is there until its
 * system calls have returned, and one that is hostile does not end by itself.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "helper/parts.h"

/* struct departing - @end: a pidfd; @timer: when it is killed, or -1 */
struct departing {
	struct events *events;
	struct event end;
	struct event timer;
	const char *name;
	unsigned int *left;
};

void process_kill(int pidfd)
{
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

int process_reap(int pidfd)
{
	siginfo_t how = { .si_pid = 0 };

	/* The first VMM is no child of ours. */
	if (waitid(P_PIDFD, pidfd, &how, WEXITED | WNOHANG) || !how.si_pid)
		return 0;
	return how.si_code == CLD_EXITED ? 0 : how.si_status;
}

static void close_timer(struct departing *departing)
{
	if (departing->timer.fd >= 0)
		events_remove(departing->events, &departing->timer);
	close_fd(&departing->timer.fd);
}

static void ended(struct event *event, uint32_t ready)
{
	struct departing *departing = event->data;

	(void)ready;
	events_remove(departing->events, event);
	process_reap(event->fd);
	close(event->fd);
	close_timer(departing);
	--*departing->left;
	free(departing);
}

static void late(struct event *event, uint32_t ready)
{
	struct departing *departing = event->data;

	(void)ready;
	fprintf(stderr, "gmem: %s: a VMM that has given its guest away does not end: killed\n",
		departing->name);
	process_kill(departing->end.fd);
	close_timer(departing);
}

static int set_timer(struct departing *departing, unsigned int grace)
{
	const struct itimerspec when = { .it_value.tv_sec = grace };

	departing->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (departing->timer.fd < 0 || timerfd_settime(departing->timer.fd, 0, &when, NULL))
		return -errno;
	return events_add(departing->events, &departing->timer, EPOLLIN);
}

void departing_add(struct events *events, int pidfd, unsigned int grace, const char *name,
		   unsigned int *left)
{
	struct departing *departing = malloc(sizeof(*departing));

	if (departing) {
		*departing = (struct departing){
			.events = events, .name = name, .left = left,
			.end = { .fd = pidfd, .ready = ended, .data = departing },
			.timer = { .fd = -1, .ready = late, .data = departing },
		};
		if (!events_add(events, &departing->end, EPOLLIN)) {
			++*left;
			if (grace && set_timer(departing, grace))
				late(&departing->timer, 0);
			return;
		}
	}
	/* There is no room to watch it. */
	free(departing);
	process_kill(pidfd);
	close(pidfd);
}
