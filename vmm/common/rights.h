/* SPDX-License-Identifier: MIT */
/* What a process has by being root's. */
#ifndef VMM_COMMON_RIGHTS_H
#define VMM_COMMON_RIGHTS_H

/*
 * This thread gives up all capabilities, as those threads do that it starts. None comes
 * back where no program can be started. 0 or -errno.
 */
int rights_drop(void);

#endif /* VMM_COMMON_RIGHTS_H */
