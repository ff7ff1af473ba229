/* SPDX-License-Identifier: MIT */
/* Exit statuses of the gmem program. */
#ifndef VMM_COMMON_STATUS_H
#define VMM_COMMON_STATUS_H

enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,	/* something went wrong and was reported */
	EXIT_USAGE = 2,		/* the command line makes no sense */
	EXIT_GUEST = 3,		/* the guest itself said that something is wrong */
};

#endif /* VMM_COMMON_STATUS_H */
