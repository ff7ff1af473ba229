/* SPDX-License-Identifier: MIT */
/* Giving up all rights that a VMM with a running guest does not need. */
#ifndef VMM_CONFINE_H
#define VMM_CONFINE_H

/* Close all inherited descriptors above stderr, except @keep (-1: none). */
int confine_descriptors(int keep);

/*
 * From here on no thread of this process can open, create or remove a file, make a socket or a
 * connection, start a program or a process, signal another process or look into one, or get a right
 * back. A system call that is not in confine.c's list kills the process. Returns 0, or -errno with
 * *step saying what failed.
 */
int confine_vmm(const char **step);

/* The same, for a process that must still move the guest here from another one. */
int confine_destination(const char **step);

#endif /* VMM_CONFINE_H */
