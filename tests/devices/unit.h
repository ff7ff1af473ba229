/* SPDX-License-Identifier: MIT */
/* The headers that cmocka needs before its own, and the tests' replacements for liburing. */
#ifndef TESTS_DEVICES_UNIT_H
#define TESTS_DEVICES_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <liburing.h>

int __real_io_uring_queue_init(unsigned int entries, struct io_uring *ring,
			       unsigned int flags);
int __real_io_uring_submit(struct io_uring *ring);

#endif /* TESTS_DEVICES_UNIT_H */
