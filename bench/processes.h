/* SPDX-License-Identifier: MIT */
/* gmem processes that are measured: page servers, and VMMs whose guests print lines. */
#ifndef BENCH_PROCESSES_H
#define BENCH_PROCESSES_H

#include <stdint.h>

#include "common/child.h"

/* "<what the checkout was built into>/NAME", which is the caller's. */
char *built(const char *name);

/* The kernel that the lab runs, as a file; its name is the caller's. */
char *debians_kernel(void);

/* A folder for files, under /tmp; and "<folder>/NAME", which is the caller's. */
void make_folder(void);
char *in_folder(const char *name);

/* Start the gmem program, with arguments up to NULL. */
void start_gmem(struct child *child, const char *name, ...) __attribute__((sentinel));

/*
 * Listen until it prints a line with these words; the end of the program if it ends
 * instead. Returns when that was. @line: where to keep it, CHILD_LINE bytes, or NULL.
 */
uint64_t await(struct child *child, const char *words, char *line);

/* It is to end by itself, soon. */
void await_end(struct child *child);

/* The checksums of an image, so that it can be served. */
void make_sums(const char *image);

/*
 * A page server for @image, which listens at @socket, where one before it may have. Options
 * up to NULL. When it has ended, as @how says ("gone", "done"), server_ended() tells what
 * it has given and was asked for, in pages.
 */
void start_server(struct child *server, const char *image, const char *socket, ...)
	__attribute__((sentinel));
void server_ended(struct child *server, const char *how, uint64_t *given, uint64_t *asked);

/* Nanoseconds that its threads, and the vCPUs among them, have run. */
uint64_t cpu_time(const struct child *child);

#endif /* BENCH_PROCESSES_H */
