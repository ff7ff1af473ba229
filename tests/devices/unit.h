/* SPDX-License-Identifier: MIT */
/* What cmocka wants before it, and what tests answer in place of liburing. */
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
