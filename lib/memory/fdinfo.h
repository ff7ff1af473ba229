/* SPDX-License-Identifier: MIT */
#ifndef LIB_MEMORY_FDINFO_H
#define LIB_MEMORY_FDINFO_H

#include <stddef.h>

/*
 * Read the current content of an open fdinfo into @text, of @size bytes including the final 0.
 * Content beyond that is cut off. Returns 0 or -errno.
 */
int gmem_fdinfo_read(int info, char *text, size_t size);

#endif /* LIB_MEMORY_FDINFO_H */
