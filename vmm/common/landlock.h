/* SPDX-License-Identifier: MIT */
/* Landlock, where the kernel has it: landlock(7). */
#ifndef VMM_COMMON_LANDLOCK_H
#define VMM_COMMON_LANDLOCK_H

/*
 * From here on this thread, and those that it starts, can do nothing with files by their
 * paths: what is open stays usable. Nor can they connect, bind, or signal another process,
 * as far as the kernel knows to forbid that. Returns the version of Landlock that does it,
 * 0 where the kernel has none, or -errno.
 */
int landlock_no_files(void);

#endif /* VMM_COMMON_LANDLOCK_H */
