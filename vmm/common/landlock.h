/* SPDX-License-Identifier: MIT */
/* Landlock, where the kernel has it: landlock(7). */
#ifndef VMM_COMMON_LANDLOCK_H
#define VMM_COMMON_LANDLOCK_H

/*
 * From here on this thread, and those that it starts, can do nothing with files by their paths;
 * open files stay usable. They cannot connect, bind, or signal another process either, as far as
 * the kernel can forbid that. Returns the version of Landlock, 0 if the kernel has none, or -errno.
 */
int landlock_no_files(void);

#endif /* VMM_COMMON_LANDLOCK_H */
