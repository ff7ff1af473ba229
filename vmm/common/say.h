/* SPDX-License-Identifier: MIT */
/* What the program says: to a person, and to a program that started it. */
#ifndef VMM_COMMON_SAY_H
#define VMM_COMMON_SAY_H

#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC: the same clock in all processes of the host. */
uint64_t now_ns(void);

/* "gmem: what: why", @error being a negative errno. Returns EXIT_FAILED. */
int say_failed(int error, const char *what, ...)
	__attribute__((format(printf, 2, 3)));

/* What a person can do about it, which depends on what failed; NULL: nothing is known. */
void say_todo(const char *todo);

/* Text of another process is shown to a person: no control characters. */
void make_printable(char *text);

/* "gmem: ..." on stdout */
void say(const char *what, ...) __attribute__((format(printf, 1, 2)));

/*
 * From here on, say() has @put write its lines, which may come from any thread; NULL:
 * to stdout again. @put may not wait for a reader.
 */
void say_through(void (*put)(void *data, const char *line, size_t size), void *data);

/* From here on, report() writes to @fd. */
void report_to(int fd);

/* Where report() writes, or -1. */
int report_descriptor(void);

/*
 * A line "event ns=<time of the call> ..." for the program that gave us
 * --report; nothing where none did. Lines of several threads stay whole.
 */
void report(const char *event, const char *facts, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* VMM_COMMON_SAY_H */
