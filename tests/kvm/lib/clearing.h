/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which page frames the kernel clears, in the name of this thread.
 */
#ifndef GMEM_TESTS_CLEARING_H
#define GMEM_TESTS_CLEARING_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether the kernel's allocator clears pages itself, in which case the modules leave it
 * to the allocator to clear those that are freed.
 */
bool allocator_clears(void);

/* Watches two frames from now on, or one. */
void clearing_watch(uint64_t pfn, uint64_t other);

/* Whether this thread, in the kernel, has written to a watched frame. */
bool was_cleared(uint64_t pfn);

#endif /* GMEM_TESTS_CLEARING_H */
