/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Populating: the calls, and content to populate with.
 */
#ifndef GMEM_TESTS_POPULATE_H
#define GMEM_TESTS_POPULATE_H

#include "machine.h"

/* By page number of the machine: pages, or -1 with errno. */
long populate(struct machine *m, uint64_t first, uint64_t n, const void *from);
/* By page offset, on a view or a handle. */
long populate_offset(int fd, uint64_t first, uint64_t n, const void *from);

/* A populate-only handle of a view. */
int filler_of(int view);

/* Memory of this process with a pattern's pages @first and on. */
uint64_t *pattern_pages(uint64_t first, uint64_t n, uint64_t pattern);

#endif /* GMEM_TESTS_POPULATE_H */
