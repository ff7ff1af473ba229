/* SPDX-License-Identifier: MIT */
/* Files that are written whole, or not at all. */
#ifndef VMM_WRITE_ALL_H
#define VMM_WRITE_ALL_H

#include <stddef.h>

/* write(2) until all of it is written. 0, or -errno. */
int write_all(int fd, const void *bytes, size_t size);

#endif /* VMM_WRITE_ALL_H */
