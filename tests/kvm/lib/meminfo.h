/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What memory this machine has, uses and has free.
 */
#ifndef GMEM_TESTS_MEMINFO_H
#define GMEM_TESTS_MEMINFO_H

#include <stdint.h>

/* What /proc/meminfo tells under @name, in bytes. */
uint64_t meminfo(const char *name);

/*
 * The memory that is free, in bytes: MemFree does not count pages on lists of single CPUs,
 * on which the kernel keeps up to an eighth of the memory that was freed last.
 */
uint64_t memory_free(void);

#endif /* GMEM_TESTS_MEMINFO_H */
