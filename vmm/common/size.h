/* SPDX-License-Identifier: MIT */
/* Sizes as a person writes them. */
#ifndef VMM_COMMON_SIZE_H
#define VMM_COMMON_SIZE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Read a size: a decimal number and K, M, G or T, powers of 1024; without a unit
 * it is in bytes. Returns 0; -EINVAL: it is not a size; -ERANGE: it does not fit in 64 bits.
 */
int size_read(const char *text, uint64_t *bytes);

/* Write a size, rounded down: "0K" to "9999T". */
void size_show(char *text, size_t size, uint64_t bytes);

#endif /* VMM_COMMON_SIZE_H */
