/* SPDX-License-Identifier: MIT */
/* The rights that a process has because it is root's. */
#ifndef VMM_COMMON_RIGHTS_H
#define VMM_COMMON_RIGHTS_H

/*
 * This thread, and the threads that it starts, give up all capabilities. They cannot come back if
 * no program can be started. Returns 0 or -errno.
 */
int rights_drop(void);

#endif /* VMM_COMMON_RIGHTS_H */
