/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a claim expects; it fails with file and line otherwise.
 */
#ifndef GMEM_TESTS_SEV_EXPECT_H
#define GMEM_TESTS_SEV_EXPECT_H

#include <stdio.h>
#include <stdlib.h>

#define EXPECT(condition)							\
do {										\
	if (!(condition)) {							\
		printf("%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);	\
		exit(1);							\
	}									\
} while (0)

#define EXPECT_EQ(got, want)							\
do {										\
	long long got_ = (got), want_ = (want);					\
										\
	if (got_ != want_) {							\
		printf("%s:%d: %s is %#llx, not %s (%#llx)\n", __FILE__, __LINE__,	\
		       #got, got_, #want, want_);				\
		exit(1);							\
	}									\
} while (0)

#endif /* GMEM_TESTS_SEV_EXPECT_H */
