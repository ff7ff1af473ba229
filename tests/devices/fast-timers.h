/* SPDX-License-Identifier: MIT */
/* For programs that wrap timerfd_settime(): makes their time go faster. */
#ifndef TESTS_DEVICES_FAST_TIMERS_H
#define TESTS_DEVICES_FAST_TIMERS_H

#include <stdint.h>
#include <sys/timerfd.h>

#define FAST	5	/* so that what a loaded machine does in time is in time */

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *when,
			   struct itimerspec *before);

static inline struct timespec sooner(const struct timespec *time)
{
	const uint64_t ns = (time->tv_sec * 1000000000ULL + time->tv_nsec) / FAST;

	return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
			   struct itimerspec *before)
{
	const struct itimerspec soon = {
		.it_value = sooner(&when->it_value), .it_interval = sooner(&when->it_interval),
	};

	return __real_timerfd_settime(fd, flags, &soon, before);
}

#endif /* TESTS_DEVICES_FAST_TIMERS_H */
