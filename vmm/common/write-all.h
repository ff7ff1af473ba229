/* SPDX-License-Identifier: MIT */
/* Files that are written whole, and readers that may stall. */
#ifndef VMM_COMMON_WRITE_ALL_H
#define VMM_COMMON_WRITE_ALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* write(2) until all of it is written. 0, or -errno. */
int write_all(int fd, const void *bytes, size_t size);

/*
 * Does the reader have room for a line, within @timeout milliseconds? Also true if write(2) would
 * fail at once; false at a signal.
 */
bool wait_writable(int fd, int timeout);

/*
 * Write lines to a reader that may stall: all of it within @timeout milliseconds, or -ETIMEDOUT
 * with some of it written. Returns 0 or -errno. Others may share the file, so it is not made
 * non-blocking.
 */
int write_within(int fd, const void *bytes, size_t size, int timeout);

#endif /* VMM_COMMON_WRITE_ALL_H */
