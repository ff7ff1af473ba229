// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/say.h"

#define MAX_ARGUMENTS	14
#define MAX_CHILDREN	4
#define LAST_WORDS	200	/* ms */

/* The descriptor at which the child finds the pipe for its reports. */
#define REPORT_FD	3

static void become(const struct child *child, const char *const *arguments,
		   int output, int reports)
{
	const char *all[MAX_ARGUMENTS + 3] = { NULL };
	sigset_t none;
	int i;

	for (i = 0; i < MAX_ARGUMENTS && arguments[i]; i++)
		all[i] = arguments[i];
	if (!child->no_reports) {
		all[i++] = "--report";
		all[i] = "3";
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* The pipes' own descriptors are close-on-exec, these are not. */
	dup2(output, STDOUT_FILENO);
	if (child->errors_too)
		dup2(output, STDERR_FILENO);
	if (reports == REPORT_FD)
		fcntl(reports, F_SETFD, 0);
	else
		dup2(reports, REPORT_FD);
	execv(all[0], (char *const *)all);
	_exit(127);
}

int child_start(struct child *child, const char *const *arguments)
{
	int output[2], reports[2];

	if (pipe2(output, O_CLOEXEC))
		return -errno;
	if (pipe2(reports, O_CLOEXEC)) {
		int err = -errno;

		close(output[0]);
		close(output[1]);
		return err;
	}
	fflush(stdout);
	child->pid = fork();
	if (!child->pid)
		become(child, arguments, output[1], reports[1]);
	close(output[1]);
	close(reports[1]);
	child->output = (struct stream){ .fd = output[0] };
	child->reports = (struct stream){ .fd = reports[0] };
	child->nr_events = 0;
	return child->pid < 0 ? -errno : 0;
}

static void got_line(struct child *child, struct stream *stream)
{
	stream->line[stream->used] = '\0';
	stream->used = 0;
	if (stream == &child->output) {
		if (child->heard)
			child->heard(child, stream->line);
	} else if (child->nr_events < CHILD_EVENTS) {
		memcpy(child->events[child->nr_events++], stream->line,
		       CHILD_LINE);
	}
}

static void hear(struct child *child, struct stream *stream)
{
	char bytes[512];
	ssize_t got = read(stream->fd, bytes, sizeof(bytes));
	ssize_t i;

	if (got <= 0) {
		close(stream->fd);
		stream->fd = -1;
		return;
	}
	for (i = 0; i < got; i++) {
		if (bytes[i] == '\n')
			got_line(child, stream);
		else if (stream->used < CHILD_LINE - 1)
			stream->line[stream->used++] = bytes[i];
	}
}

bool children_listen(struct child *const *children, size_t count, int timeout)
{
	struct pollfd wait[2 * MAX_CHILDREN];
	bool any = false;
	size_t i;

	for (i = 0; i < count; i++) {
		wait[2 * i] = (struct pollfd){
			.fd = children[i]->output.fd, .events = POLLIN,
		};
		wait[2 * i + 1] = (struct pollfd){
			.fd = children[i]->reports.fd, .events = POLLIN,
		};
		any |= wait[2 * i].fd >= 0 || wait[2 * i + 1].fd >= 0;
	}
	if (!any || poll(wait, 2 * count, timeout) <= 0)
		return any;
	for (i = 0; i < count; i++) {
		if (wait[2 * i].revents)
			hear(children[i], &children[i]->output);
		if (wait[2 * i + 1].revents)
			hear(children[i], &children[i]->reports);
	}
	return true;
}

bool child_gone(struct child *child)
{
	if (child->pid > 0 &&
	    waitpid(child->pid, &child->status, WNOHANG) == child->pid)
		child->pid = -1;
	return child->pid <= 0;
}

static void close_stream(struct stream *stream)
{
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
}

void child_end(struct child *child, int signal, int timeout)
{
	uint64_t limit = now_ns() + timeout * 1000000ULL;

	if (!child->pid)
		return;
	if (signal && child->pid > 0)
		kill(child->pid, signal);
	while (!child_gone(child) && now_ns() < limit)
		if (!children_listen(&child, 1, 10))
			usleep(10000);
	if (!child_gone(child)) {
		kill(child->pid, SIGKILL);
		waitpid(child->pid, &child->status, 0);
		child->pid = -1;
	}
	/* Its last words are still in the pipes, which other processes may have open. */
	limit = now_ns() + LAST_WORDS * 1000000ULL;
	while (children_listen(&child, 1, LAST_WORDS) && now_ns() < limit)
		;
	close_stream(&child->output);
	close_stream(&child->reports);
}

const char *child_event(const struct child *child, const char *name)
{
	size_t length = strlen(name);
	unsigned int i;

	for (i = 0; i < child->nr_events; i++)
		if (!strncmp(child->events[i], name, length) &&
		    child->events[i][length] == ' ')
			return child->events[i];
	return NULL;
}

uint64_t event_number(const char *line, const char *key)
{
	size_t length = strlen(key);

	while (line && (line = strchr(line, ' '))) {
		line++;
		if (!strncmp(line, key, length) && line[length] == '=')
			return strtoull(line + length + 1, NULL, 10);
	}
	return 0;
}
