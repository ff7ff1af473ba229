/* SPDX-License-Identifier: MIT */
/*
 * A VM without KVM, with its control socket and console: its guest is a thread that has the
 * serial port, and prints what it is told to. It prints each byte in brackets, without a line end;
 * for a '!' it prints more than anybody has room for, and then "flooded".
 */
#ifndef TESTS_VMM_ONE_VM_H
#define TESTS_VMM_ONE_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PATIENCE 20000		/* ms: a machine may be busy */

extern pid_t vm;		/* or 0 */
extern int output;		/* its stdout, to read */
extern char name[32];

/*
 * Set-up functions and a teardown; its stdin is empty, or @input. A private one has 3 pages
 * that are shared.
 */
int vm_begin(void **state);
int vm_begin_private(void **state);
int vm_end(void **state);
void vm_start_with(int input);

/* False: it does not end. */
bool vm_ends(int *status);

/* ---- Its client ---- */

int connect_vm(void);
void say_bytes(int socket, const void *bytes, size_t size);

/* The next line; "": it was closed. */
const char *hear_line(int socket);

/* A request is answered by a line with @words. */
void answers(int socket, const char *request, const char *words);

#endif /* TESTS_VMM_ONE_VM_H */
