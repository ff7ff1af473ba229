// SPDX-License-Identifier: MIT
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/events.h"
#include "common/say.h"

#define AT_ONCE	32

int events_open(struct events *events)
{
	*events = (struct events){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
	return events->epoll < 0 ? -errno : 0;
}

void events_close(struct events *events)
{
	if (events->epoll >= 0)
		close(events->epoll);
	events->epoll = -1;
}

static int control(struct events *events, int op, struct event *event, uint32_t mask)
{
	struct epoll_event told = { .events = mask, .data.ptr = event };

	return epoll_ctl(events->epoll, op, event->fd, &told) ? -errno : 0;
}

int events_add(struct events *events, struct event *event, uint32_t mask)
{
	return control(events, EPOLL_CTL_ADD, event, mask);
}

int events_change(struct events *events, struct event *event, uint32_t mask)
{
	return control(events, EPOLL_CTL_MOD, event, mask);
}

void events_remove(struct events *events, struct event *event)
{
	int i;

	control(events, EPOLL_CTL_DEL, event, 0);
	for (i = 0; i < events->nr; i++)
		if (events->current[i] == event)
			events->current[i] = NULL;
}

void event_raise(int eventfd, const char *what)
{
	uint64_t one = 1;

	/* EAGAIN: it is signalled as often as can be counted. */
	if (write(eventfd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		say_failed(-errno, "%s", what);
}

int events_wait(struct events *events, int timeout)
{
	struct epoll_event told[AT_ONCE];
	struct event *current[AT_ONCE];
	int i, nr = epoll_wait(events->epoll, told, AT_ONCE, timeout);

	if (nr < 0)
		return errno == EINTR ? 0 : -errno;
	for (i = 0; i < nr; i++)
		current[i] = told[i].data.ptr;
	events->current = current;
	events->nr = nr;
	for (i = 0; i < nr; i++)
		if (current[i])
			current[i]->ready(current[i], told[i].events);
	events->nr = 0;
	return 0;
}
