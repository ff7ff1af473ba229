/* SPDX-License-Identifier: MIT */
/* Messages to a person, and to a program that started this one. */
#ifndef VMM_COMMON_SAY_H
#define VMM_COMMON_SAY_H

#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC: the same clock in all processes of the host. */
uint64_t now_ns(void);

/* "gmem: what: why", @error being a negative errno. Returns EXIT_FAILED. */
int say_failed(int error, const char *what, ...)
	__attribute__((format(printf, 2, 3)));

/* Print what a person can do about it, which depends on what failed; NULL: nothing is known. */
void say_todo(const char *todo);

/* Remove control characters from another process's text before a person sees it. */
void make_printable(char *text);

/* "gmem: ..." on stdout */
void say(const char *what, ...) __attribute__((format(printf, 1, 2)));

/*
 * From here on, say() writes its lines through @put, from any thread; NULL: to stdout again. @put
 * must not wait for a reader.
 */
void say_through(void (*put)(void *data, const char *line, size_t size), void *data);

/* From here on, report() writes to @fd. */
void report_to(int fd);

/* The descriptor that report() writes to, or -1. */
int report_descriptor(void);

/*
 * Write a line "event ns=<time of the call> ..." for the program that gave us --report; nothing
 * without one. Lines of several threads stay whole.
 */
void report(const char *event, const char *facts, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* VMM_COMMON_SAY_H */
