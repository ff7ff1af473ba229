/* SPDX-License-Identifier: MIT */
/* gmem processes under test, and what their guests say. */
#ifndef TESTS_VMM_PROGRAM_H
#define TESTS_VMM_PROGRAM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sys/resource.h>

#include "common/child.h"

#define MAX_PROGRAMS	3
#define LATE		60	/* seconds: something is wrong, even emulated */

/*
 * struct program - one gmem process
 * @said: all that it printed, errors included, as far as there is room
 * @counts: how often its guest said "counted to"
 * @counted: what it said last
 */
struct program {
	struct child child;
	char said[65536];
	unsigned int counts;
	uint64_t counted;
};

/*
 * Start the gmem program with arguments up to NULL. It is ended, and its
 * socket removed, by programs_end(), which each test has as its teardown.
 */
struct program *program_start(const char *name, ...)
	__attribute__((sentinel));
int programs_end(void **state);

/* Have it open no descriptor from number @limit on, as soon as it has started. */
void program_limit_descriptors(struct program *program, rlim_t limit);

/* End the program that was started last, and forget it. */
void program_end_last(void);

/* The path of the program that was built beside the tests. */
const char *gmem_program(void);

/* Folder for sockets: for a group of tests. */
int sockets_make(void **state);
int sockets_remove(void **state);

/* "<folder>/<name>" */
const char *socket_path(const char *name);

/* A gmem run with 8 MiB, filled and counting, at socket_path("a"). */
struct program *source_start(void);

/* Listen until the program has said this; else the test fails. */
void wait_for_words(struct program *program, const char *words);

/* Listen until its guest has counted further, twice. */
void wait_for_counting(struct program *program);

/* Listen to what a program said last that has ended. */
void hear_last_words(struct program *program);

/* Listen until it ends; fails the test unless it does, with that status. */
void wait_for_exit(struct program *program, int status);

bool has_said(const struct program *program, const char *words);

/* Fails the test, and shows all that it said, unless it has said this. */
void must_have_said(const struct program *program, const char *words);

/* Seconds from now on that are enough for anything, as now_ns() tells time. */
uint64_t late(void);

/* The command, arguments of gmem, ends with @status and says @words. */
#define SAYS(status, words, ...) do {					\
	struct program *p = program_start("gmem", __VA_ARGS__, NULL);	\
									\
	wait_for_exit(p, status);					\
	must_have_said(p, words);					\
	program_end_last();						\
} while (0)

/* All its threads have given up what a VMM gives up before its guest runs. */
void must_be_confined(const struct program *program);

/* Listen for that long to all programs. */
void listen_for(int milliseconds);

#endif /* TESTS_VMM_PROGRAM_H */
