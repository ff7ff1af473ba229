/* SPDX-License-Identifier: MIT */
#ifndef LIB_MEMORY_FDINFO_H
#define LIB_MEMORY_FDINFO_H

#include <stddef.h>

/*
 * Read an open fdinfo as it is now into @text, of @size bytes, the final 0 among them. What
 * there is no room for is left out. 0 or -errno.
 */
int gmem_fdinfo_read(int info, char *text, size_t size);

#endif /* LIB_MEMORY_FDINFO_H */
