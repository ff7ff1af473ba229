// SPDX-License-Identifier: MIT
/*
 * Linked into each test program that uses cmocka: runs the one claim that
 * GMEM_TEST_CLAIM names, if it is set (tests/run PART:CLAIM).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

static void __attribute__((constructor)) only_one(void)
{
	const char *claim = getenv("GMEM_TEST_CLAIM");

	if (claim)
		cmocka_set_test_filter(claim);
}
