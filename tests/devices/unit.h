/* SPDX-License-Identifier: MIT */
/* cmocka wants these before it. */
#ifndef TESTS_DEVICES_UNIT_H
#define TESTS_DEVICES_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif /* TESTS_DEVICES_UNIT_H */
