/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Allocations of the kernel that fail, one after the other, and copies from userspace. Needs the
 * debug kernel's fault injection.
 */
#ifndef GMEM_TESTS_FAILING_H
#define GMEM_TESTS_FAILING_H

#include <stdbool.h>

/* Skips where there is no fault injection; gets it ready. */
void require_fault_injection(void);

/* Whether this thread's allocations of more than a page fail from now on. */
void fail_large_allocations(bool fail);

/* Whether its allocations of less do. */
void fail_slab_allocations(bool fail);

/* They do, but for those first ones that take no more than @bytes, a number. */
void fail_slab_allocations_but(const char *bytes);

/* Skips where copies can't be made to fail; gets it ready. */
void require_failing_copies(void);

/*
 * Whether this thread's copies from and to userspace fail from now on that the modules' @function
 * makes, or what it calls. Single words can be read and written.
 */
void fail_copies_in(const char *function, bool fail);

/**
 * struct request - what is made to fail
 * @prepare: gets ready for it, or NULL
 * @make: makes it: -1 with errno, or what @undo takes
 * @undo: undoes it
 * @check: all is as it was before
 */
struct request {
	void (*prepare)(void);
	int (*make)(void);
	void (*undo)(int made);
	void (*check)(void);
};

/*
 * A failed allocation may be one that the kernel does without, so the request
 * may succeed; otherwise it says ENOMEM. Ends when all allocations have failed.
 * Returns how many there are, which may be none; @failed: how often the request
 * did not succeed.
 */
int try_allocations(const struct request *r, int *failed);
/* There is one at least. Returns how often the request did not succeed. */
int try_each_allocation(const struct request *r);
/* Once at least. */
void fail_each_allocation(const struct request *r);

/* The next fd is the one that was next before: none was left. */
void check_fds(void);

#endif /* GMEM_TESTS_FAILING_H */
