/* SPDX-License-Identifier: MIT */
/* Actions that a confined process can still do, and those that kill it. */
#ifndef TESTS_VMM_DEED_H
#define TESTS_VMM_DEED_H

#include <stddef.h>

/* What a child does then; its result is its exit status. */
typedef int (*deed)(void);

#define DONE		97	/* it could be done */
#define REFUSED		98
#define SKIPPED		96

/* struct call - a system call, as it is made: by number, with its arguments */
struct call {
	long number;
	long arguments[5];
};

/* A file that is open when a child is confined, and may stay so: this program. */
extern int deed_file;

/* How these children are confined: 0 or an error. For a program's main(). */
extern int (*deed_confine)(void);

/* Do it in a child that was confined. Returns the wait status. */
int deed_do(deed deed);

/* The same, and it must end by SIGSYS; @what and @number are for the message. */
void deed_kills(deed deed, const char *what, long number);

/* Each of them, in a child of its own, must end by SIGSYS. */
void deed_calls_kill(const struct call *calls, size_t nr);

/* Map this program, so that it could be executed. */
int deed_map_code(void);

#endif /* TESTS_VMM_DEED_H */
