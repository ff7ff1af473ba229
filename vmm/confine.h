/* SPDX-License-Identifier: MIT */
/* Giving up all rights that a VMM with a running guest does not need. */
#ifndef VMM_CONFINE_H
#define VMM_CONFINE_H

/* Close what this program was started with beyond stderr, but @keep (-1: none). */
int confine_descriptors(int keep);

/*
 * From here on this process, whichever of its threads, opens, creates and removes no file,
 * makes no socket and no connection, starts no program or process, signals no other and
 * does not look into one, and gets no right back. A system call that is not in confine.c's
 * list kills it. 0 or -errno, and *step says what failed.
 */
int confine_vmm(const char **step);

/* The same, for a process that is still to move the guest here from another. */
int confine_destination(const char **step);

#endif /* VMM_CONFINE_H */
