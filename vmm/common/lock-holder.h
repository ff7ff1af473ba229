/* SPDX-License-Identifier: MIT */
/*
 * Which process has a file locked: the kernel does not tell whose a lock of an open file
 * (F_OFD_SETLK) is, but shows each process's in /proc.
 */
#ifndef VMM_COMMON_LOCK_HOLDER_H
#define VMM_COMMON_LOCK_HOLDER_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Does that process have a descriptor with a lock on this file? */
bool lock_is_held_by(pid_t pid, const struct stat *file);

/*
 * A process that does, or 0: in a place without /proc, or with processes of others, there
 * may be none to be seen.
 */
pid_t lock_find_holder(const struct stat *file);

/* The process whose child that is, or 0. */
pid_t process_parent(pid_t pid);

#endif /* VMM_COMMON_LOCK_HOLDER_H */
