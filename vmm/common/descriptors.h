/* SPDX-License-Identifier: MIT */
#ifndef VMM_COMMON_DESCRIPTORS_H
#define VMM_COMMON_DESCRIPTORS_H

/* Close all descriptors above stderr except these; -1 is none. Returns 0 or -errno. */
int close_all_but(const int *fds, unsigned int nr);

/* Close a descriptor, if there is one, and set it to -1. */
void close_fd(int *fd);

/* Replace stdin by /dev/null, so that no received descriptor gets number 0. Returns 0 or -errno. */
int empty_stdin(void);

#endif /* VMM_COMMON_DESCRIPTORS_H */
