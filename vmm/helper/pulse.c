// SPDX-License-Identifier: MIT
/*
 * Does the VMM's main loop turn? It says so by a word in the live page. Time is counted in looks,
 * and those are the helper's own: where the helper stands still as well, in a frozen cgroup or a
 * host that sleeps, no look is made, and no beat missed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "helper/pulse.h"

#define LOOKS	4	/* in the time that one may hang */

static void timed(struct event *event, uint32_t ready)
{
	struct pulse *pulse = event->data;
	uint64_t times;

	(void)ready;
	/* Of several that have passed only this one was a look. */
	if (read(event->fd, &times, sizeof(times)) == sizeof(times))
		pulse->look(pulse->data);
}

int pulse_open(struct pulse *pulse, struct events *events, unsigned int seconds)
{
	const uint64_t ns = seconds * 1000000000ULL / LOOKS;
	const struct timespec every = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	const struct itimerspec when = { .it_value = every, .it_interval = every };

	pulse->timer = (struct event){ .fd = -1, .ready = timed, .data = pulse };
	if (!seconds)
		return 0;
	pulse->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (pulse->timer.fd < 0 || timerfd_settime(pulse->timer.fd, 0, &when, NULL))
		return -errno;
	return events_add(events, &pulse->timer, EPOLLIN);
}

bool pulse_is_gone(struct pulse *pulse, uint32_t beat)
{
	bool same = beat == pulse->beat;

	pulse->beat = beat;
	pulse->missed = !beat ? 0 : same ? pulse->missed + 1 : 0;
	return pulse->missed == LOOKS;
}

/* The number behind this word in a file of the kernel's, or 0. */
static long number_in(const char *path, const char *word)
{
	FILE *file = fopen(path, "re");
	char line[256];
	long number = 0;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, word, strlen(word)))
			number = strtol(line + strlen(word), NULL, 10);
	if (file)
		fclose(file);
	return number;
}

bool pulse_is_held(int pidfd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	snprintf(path, sizeof(path), "/proc/%ld/status", number_in(path, "Pid:"));
	return number_in(path, "TracerPid:") > 0;
}
