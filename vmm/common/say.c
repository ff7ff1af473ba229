// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/say.h"
#include "common/status.h"
#include "common/write-all.h"

/* How long a reader of messages may stall, in ms, before they are lost. */
#define PATIENCE	1000

uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

/* The function that say() writes through, if any. */
static pthread_mutex_t through_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*through)(void *data, const char *line, size_t size);
static void *through_data;

void say_through(void (*put)(void *data, const char *line, size_t size), void *data)
{
	pthread_mutex_lock(&through_lock);
	through = put;
	through_data = data;
	pthread_mutex_unlock(&through_lock);
}

static bool put_through(int fd, const char *line, size_t size)
{
	bool done = false;

	if (fd != STDOUT_FILENO)
		return false;
	pthread_mutex_lock(&through_lock);
	if (through) {
		through(through_data, line, size);
		done = true;
	}
	pthread_mutex_unlock(&through_lock);
	return done;
}

/* A reader that stalls must not hold up a VMM, or its end. */
static void say_line(int fd, const char *format, const char *first, const char *second)
{
	char line[1024];
	int size = snprintf(line, sizeof(line), format, first, second);

	if (size >= (int)sizeof(line)) {
		size = sizeof(line) - 1;
		line[size - 1] = '\n';
	}
	if (!put_through(fd, line, size))
		write_within(fd, line, size, PATIENCE);
}

int say_failed(int error, const char *what, ...)
{
	char text[512];
	va_list args;

	va_start(args, what);
	vsnprintf(text, sizeof(text), what, args);
	va_end(args);
	say_line(STDERR_FILENO, "gmem: %s: %s\n", text, strerror(-error));
	return EXIT_FAILED;
}

void say_todo(const char *todo)
{
	if (todo)
		say_line(STDERR_FILENO, "      %s%s\n", todo, "");
}

void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

void say(const char *what, ...)
{
	char text[512];
	va_list args;

	va_start(args, what);
	vsnprintf(text, sizeof(text), what, args);
	va_end(args);
	fflush(stdout);
	say_line(STDOUT_FILENO, "gmem: %s%s\n", text, "");
}

static int report_fd = -1;

void report_to(int fd)
{
	report_fd = fd;
}

int report_descriptor(void)
{
	return report_fd;
}

void report(const char *event, const char *facts, ...)
{
	char line[512];
	va_list args;
	int used;

	if (report_fd < 0)
		return;
	used = snprintf(line, sizeof(line), "%s ns=%" PRIu64 " ", event,
			now_ns());
	va_start(args, facts);
	used += vsnprintf(line + used, sizeof(line) - used - 1, facts, args);
	va_end(args);
	if (used > (int)sizeof(line) - 2)
		used = sizeof(line) - 2;
	line[used++] = '\n';
	/* A reader that has gone is no reason to stop a guest. */
	if (write_within(report_fd, line, used, PATIENCE))
		report_fd = -1;
}
