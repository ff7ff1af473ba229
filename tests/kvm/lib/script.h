/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A script: operations that are done one after the other on the plain model and by
 * the modules, in a process of their own, until the two differ.
 */
#ifndef GMEM_TESTS_SCRIPT_H
#define GMEM_TESTS_SCRIPT_H

#include "operation.h"

#define SCRIPT_MAX	8192

/* How many operations succeeded, and how many failed as they should. */
struct script_count {
	unsigned long done;
	unsigned long failed;
};

/**
 * struct script - see above; in memory that processes share
 * @ops: the operations
 * @nr: how many
 * @done: how many were begun in the last run
 * @why: what differed then
 * @hangs: it did not end in time
 * @counts: by kind, of all runs
 */
struct script {
	struct operation ops[SCRIPT_MAX];
	unsigned int nr;
	unsigned int done;
	char why[256];
	bool hangs;
	struct script_count counts[OPERATIONS];
};

struct script *script_create(void);

/* An empty script becomes that of @seed; a script is run as it is. Whether all was well. */
bool script_run_seed(struct script *s, uint64_t seed);
bool script_run(struct script *s);

/* Leaves out what it can while it still fails, for some time. */
void script_shrink(struct script *s);

void script_print(const struct script *s, FILE *f);
void script_read(struct script *s, const char *path);

#endif /* GMEM_TESTS_SCRIPT_H */
