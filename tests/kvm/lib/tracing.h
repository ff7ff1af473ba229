/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The modules' tracepoints, trace/events/gmem, and calls of the kernel's functions, in a
 * trace instance of the claim's own.
 */
#ifndef GMEM_TESTS_TRACING_H
#define GMEM_TESTS_TRACING_H

#include <stdbool.h>
#include <stdint.h>

/* Begins to record one event. Skips where the modules have none. */
void trace_start(const char *event);

/* Forgets what was recorded. */
void trace_clear(void);

/* How many events were recorded that have all of the fields of @match, as "ino 5". */
unsigned int trace_count(const char *event, const char *match);

/* The page frame that the last gmem_fault of @pgoff of inode @ino found. */
uint64_t trace_fault_pfn(uint64_t ino, uint64_t pgoff);

/*
 * Begins to count calls of a function of the kernel's, whoever makes them; of one at a time.
 * Skips where the kernel has no kprobes.
 */
void trace_calls_start(const char *function);

/* How many calls there were since. */
unsigned long trace_calls(void);

#endif /* GMEM_TESTS_TRACING_H */
