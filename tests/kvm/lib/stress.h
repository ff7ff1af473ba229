/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stress: threads that do one thing each, over and over, all at once.
 */
#ifndef GMEM_TESTS_STRESS_H
#define GMEM_TESTS_STRESS_H

#include <stdbool.h>
#include <stddef.h>

/**
 * struct stress_op - what one thread of a stress run does again and again
 * @name: shown with the number of rounds
 * @round: one round
 * @arg: its argument
 */
struct stress_op {
	const char *name;
	void (*round)(void *arg);
	void *arg;
};

/*
 * Runs each op in a thread of its own for GMEM_TEST_SECONDS seconds (an
 * environment variable; 3 where it is not set). Each must get round once.
 */
void stress(const struct stress_op *ops, size_t n);
#define STRESS(ops)	stress(ops, sizeof(ops) / sizeof((ops)[0]))

#endif /* GMEM_TESTS_STRESS_H */
