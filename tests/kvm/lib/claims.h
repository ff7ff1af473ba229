/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A test program is a table of claims about the modules. Each claim runs in a
 * process of its own with a time limit of its own and becomes one KTAP line,
 * so that one that fails, crashes or hangs does not take the others along.
 *
 * A claim holds by returning. It fails by TEST_ASSERT() or any other exit, and
 * skips by claim_skip() or TEST_REQUIRE().
 *
 * Usage of a program: PROGRAM [-l] [CLAIM...]	-l lists the claims' names.
 */
#ifndef GMEM_TESTS_CLAIMS_H
#define GMEM_TESTS_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>

/**
 * struct claim - one row of a program's table
 * @name: the function's name, by which it is run alone
 * @text: what is claimed
 * @test: tests it
 * @seconds: time limit, 0 for the usual one
 */
struct claim {
	const char *name;
	const char *text;
	void (*test)(void);
	unsigned int seconds;
};

#define CLAIM(fn, text)			{ #fn, text, fn, 0 }
#define SLOW_CLAIM(fn, secs, text)	{ #fn, text, fn, secs }

/* Says which table is the program's; main() stands in claims.c. */
extern const struct claim * const claims_table;
extern const size_t claims_count;

#define CLAIMS_MAIN(claims)							\
	const struct claim * const claims_table = claims;			\
	const size_t claims_count = sizeof(claims) / sizeof((claims)[0])

/* Ends the claim as skipped; the reason is shown on its line. */
void __attribute__((noreturn, format(printf, 1, 2))) claim_skip(const char *fmt, ...);

/* How many times slower the kernel is than one that is not for debugging: 1 or more. */
unsigned int claim_slowness(void);

/*
 * How often to do what shows the more the more often it is done: @times, but less often on such
 * a kernel.
 */
unsigned int claim_times(unsigned int times);

/* How many seconds to wait for what must come, however busy the machine is. */
unsigned int claim_patience(void);

/*
 * For a loop that waits for that: takes a millisecond's rest, and returns whether there is
 * time left. @until: 0 before the first.
 */
bool claim_is_patient(double *until);

#endif /* GMEM_TESTS_CLAIMS_H */
