/* SPDX-License-Identifier: MIT */
/* Giving up all rights that a page server does not need. */
#ifndef VMM_PAGER_CONFINE_H
#define VMM_PAGER_CONFINE_H

#include <sys/types.h>

#define CONFINE_MAX_FDS	8

/*
 * struct confinement - what the page server keeps
 * @user: whose rights it has; NULL: its present ones, which must not be root's
 * @fds: descriptors that stay open, besides stdout and stderr; -1: none
 * @nr_fds: how many
 * @step: what was tried last, for the message if it failed
 */
struct confinement {
	const char *user;
	int fds[CONFINE_MAX_FDS];
	unsigned int nr_fds;
	const char *step;
};

/*
 * From here on this process has no files except those, cannot open or create any, cannot start
 * programs or threads, and cannot get its rights back. A system call that is not in confine.c's
 * list kills it. Returns 0, or -errno: it may be half done then, so end the process.
 */
int confine(struct confinement *confinement);

#endif /* VMM_PAGER_CONFINE_H */
