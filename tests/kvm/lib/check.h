/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The plain model beside the real thing: each operation is done to both.
 */
#ifndef GMEM_TESTS_CHECK_H
#define GMEM_TESTS_CHECK_H

#include "model.h"
#include "world.h"

/**
 * struct check - see above
 * @model: the model
 * @world: the real thing
 * @ret: what the last operation returned in both
 */
struct check {
	struct model model;
	struct world world;
	int64_t ret;
};

struct check *check_create(void);

/* False where model and modules differ: in what, goes to @why. */
bool check_do(struct check *c, const struct operation *op, char *why, size_t len);

#endif /* GMEM_TESTS_CHECK_H */
