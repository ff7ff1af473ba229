/* SPDX-License-Identifier: MIT */
/* gmem processes that a program starts, listens to and ends. */
#ifndef VMM_COMMON_CHILD_H
#define VMM_COMMON_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_LINE	256
#define CHILD_EVENTS	32

/* struct stream - one pipe from a child, cut into lines */
struct stream {
	int fd;
	size_t used;
	char line[CHILD_LINE];
};

/*
 * struct child - one gmem process
 * @name: for a person
 * @pid: 0: none; negative: it was waited for
 * @status: as waitpid(2) has it, once it was
 * @output: its stdout
 * @reports: what it writes to --report
 * @events: the lines of @reports
 * @no_reports: it is given no --report
 * @errors_too: @output is its stderr as well
 * @heard: called with each line of @output, or NULL
 * @data: for @heard
 */
struct child {
	const char *name;
	pid_t pid;
	int status;
	struct stream output;
	struct stream reports;
	unsigned int nr_events;
	char events[CHILD_EVENTS][CHILD_LINE];
	bool no_reports;
	bool errors_too;
	void (*heard)(struct child *child, const char *line);
	void *data;
};

/*
 * Start @arguments[0], a gmem program; "--report" is added to its arguments,
 * which are at most 14. It dies with the caller. 0 or -errno.
 */
int child_start(struct child *child, const char *const *arguments);

/*
 * Listen to all children until one says something or @timeout milliseconds
 * have passed. Returns false if all have closed their pipes.
 */
bool children_listen(struct child *const *children, size_t count, int timeout);

/* Has the child been waited for, or can it be now? */
bool child_gone(struct child *child);

/* Signal the child (0: no signal), wait for it for at most @timeout ms, then send SIGKILL. */
void child_end(struct child *child, int signal, int timeout);

/* The line of the first event of that name, or NULL. */
const char *child_event(const struct child *child, const char *name);

/* The number of "key=number" in an event's line, or 0. */
uint64_t event_number(const char *line, const char *key);

#endif /* VMM_COMMON_CHILD_H */
