/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hammers: threads that do one thing each, over and over, all at once.
 */
#ifndef GMEM_TESTS_HAMMER_H
#define GMEM_TESTS_HAMMER_H

#include <stdbool.h>
#include <stddef.h>

/**
 * struct blow - what one thread of a hammer does again and again
 * @name: shown with the number of rounds
 * @round: one round
 * @arg: its argument
 */
struct blow {
	const char *name;
	void (*round)(void *arg);
	void *arg;
};

/*
 * Runs each blow in a thread of its own for GMEM_TEST_SECONDS seconds (an
 * environment variable; 3 where it is not set). Each must get round once.
 */
void hammer(const struct blow *blows, size_t n);
#define HAMMER(blows)	hammer(blows, sizeof(blows) / sizeof((blows)[0]))

#endif /* GMEM_TESTS_HAMMER_H */
