/* SPDX-License-Identifier: MIT */
/* Waiting for many descriptors at once, each with a function to call. */
#ifndef VMM_COMMON_EVENTS_H
#define VMM_COMMON_EVENTS_H

#include <stdint.h>

/*
 * struct event - a descriptor that is waited for
 * @fd: the caller's, open for as long as the event is added
 * @ready: called with what epoll(7) says of it; may add and remove events, itself too
 * @data: the caller's
 */
struct event {
	int fd;
	void (*ready)(struct event *event, uint32_t ready);
	void *data;
};

/*
 * struct events - the descriptors that one thread waits for
 * @epoll: a descriptor, or -1
 * @current: events that were told and whose functions were not called yet
 * @nr: how many those are
 */
struct events {
	int epoll;
	struct event **current;
	int nr;
};

/* 0 or -errno */
int events_open(struct events *events);
void events_close(struct events *events);

/* @mask: of epoll's EPOLLIN and so on, level-triggered. Any thread. 0 or -errno. */
int events_add(struct events *events, struct event *event, uint32_t mask);
int events_change(struct events *events, struct event *event, uint32_t mask);

/*
 * Stop waiting for an event. If the thread that waits calls this, the event's function is not
 * called afterwards, even if it was ready already.
 */
void events_remove(struct events *events, struct event *event);

/* Signal an eventfd that the loop, or KVM, waits for; a failure is printed as one of @what. */
void event_raise(int eventfd, const char *what);

/*
 * Wait for @timeout ms at most (-1: for ever), and call the functions of events that are ready.
 * Returns 0, even after a signal; or -errno.
 */
int events_wait(struct events *events, int timeout);

#endif /* VMM_COMMON_EVENTS_H */
