/* SPDX-License-Identifier: MIT */
/* Programs that were built beside the tests, below .cache. */
#ifndef TESTS_VMM_BUILT_H
#define TESTS_VMM_BUILT_H

/* The path of a file, by its name below .cache: valid until three more were asked for. */
const char *built_file(const char *name);

/* The lab's own kernel, a bzImage. */
const char *built_kernel(void);

#endif /* TESTS_VMM_BUILT_H */
