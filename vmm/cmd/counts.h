/* SPDX-License-Identifier: MIT */
/* What the kernel counts of VMs, as /proc/PID/fdinfo has it for whoever may read that. */
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
 * @came: pages that ever came there, however: by a fault, by populating, from a pager
 */
struct counts {
	unsigned int nr;
	uint64_t inodes[COUNTS_INODES];
	uint64_t came;
};

/*
 * struct pagers - the pagers that this user may see
 * @inode: whose pages one gives
 * @waits: how many wait for one now: vCPUs, tasks of guests, threads of the host
 */
struct pagers {
	unsigned int nr;
	struct {
		uint64_t inode;
		uint64_t waits;
	} all[COUNTS_PAGERS];
};

/* Of a VMM. False: it has no guest memory, or it can't be seen. */
bool counts_read(pid_t pid, struct counts *counts);

void pagers_find(struct pagers *pagers);

/* How many wait for pages of this VM; false: it has no pager that can be seen. */
bool pagers_wait(const struct pagers *pagers, const struct counts *counts, uint64_t *waits);

#endif /* VMM_CMD_COUNTS_H */
