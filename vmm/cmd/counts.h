/* SPDX-License-Identifier: MIT */
/* The kernel's counts of VMs, from /proc/PID/fdinfo, for users who may read that. */
#ifndef VMM_CMD_COUNTS_H
#define VMM_CMD_COUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define COUNTS_INODES	8	/* of a VM */
#define COUNTS_PAGERS	64	/* of the host */

/*
 * struct counts - of one VM
 * @nr, @inodes: its inodes of guest memory
 * @came: pages that ever came there, by a fault, by populating, or from a pager
 */
struct counts {
	unsigned int nr;
	uint64_t inodes[COUNTS_INODES];
	uint64_t came;
};

/*
 * struct pagers - the pagers that this user may see
 * @inode: the inode whose pages a pager gives
 * @waits: how many vCPUs, tasks of guests, and threads of the host wait for one now
 */
struct pagers {
	unsigned int nr;
	struct {
		uint64_t inode;
		uint64_t waits;
	} all[COUNTS_PAGERS];
};

/* Get a VMM's counts. False: it has no guest memory, or it can't be seen. */
bool counts_read(pid_t pid, struct counts *counts);

void pagers_find(struct pagers *pagers);

/* Get how many wait for pages of this VM. False: it has no pager that can be seen. */
bool pagers_wait(const struct pagers *pagers, const struct counts *counts, uint64_t *waits);

#endif /* VMM_CMD_COUNTS_H */
