/* SPDX-License-Identifier: MIT */
/*
 * Finds the process that has a file locked. The kernel does not tell who owns a lock of an open
 * file (F_OFD_SETLK), but shows the locks of each process in /proc.
 */
#ifndef VMM_COMMON_LOCK_HOLDER_H
#define VMM_COMMON_LOCK_HOLDER_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Does that process have a descriptor with a lock on this file? */
bool lock_is_held_by(pid_t pid, const struct stat *file);

/*
 * A process that has such a descriptor, or 0. Without /proc, or if the process belongs to others,
 * it may be invisible.
 */
pid_t lock_find_holder(const struct stat *file);

/* The parent of that process, or 0. */
pid_t process_parent(pid_t pid);

#endif /* VMM_COMMON_LOCK_HOLDER_H */
