/* SPDX-License-Identifier: MIT */
#ifndef VMM_COMMON_DESCRIPTORS_H
#define VMM_COMMON_DESCRIPTORS_H

/* Close all descriptors behind stderr but these; -1 is none. 0 or -errno. */
int close_all_but(const int *fds, unsigned int nr);

/* Close it, if it is one, and have it be none: -1. */
void close_fd(int *fd);

/* Make /dev/null of stdin, so that number 0 is not one that is received. 0 or -errno. */
int empty_stdin(void);

#endif /* VMM_COMMON_DESCRIPTORS_H */
