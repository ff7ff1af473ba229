/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which operation is next, at random: a seed and a model give always the same. A change
 * comes with looks at what it changes, before and after it.
 */
#ifndef GMEM_TESTS_PLAN_H
#define GMEM_TESTS_PLAN_H

#include "model.h"

#define PLAN_AHEAD	256

/**
 * struct plan - see above
 * @random: state of the random numbers
 * @steps: how many changes are still to come
 * @ahead: operations that come next
 * @next: of these
 * @end: of these
 */
struct plan {
	uint64_t random;
	unsigned int steps;
	struct operation ahead[PLAN_AHEAD];
	unsigned int next;
	unsigned int end;
};

void plan_init(struct plan *p, uint64_t seed);

/* False at the end. */
bool plan_next(struct plan *p, struct model *m, struct operation *op);

#endif /* GMEM_TESTS_PLAN_H */
