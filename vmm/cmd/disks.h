/* SPDX-License-Identifier: MIT */
/* The option --disk, which may be given several times. */
#ifndef VMM_CMD_DISKS_H
#define VMM_CMD_DISKS_H

#include "options.h"
#include "virtio/block.h"

#define DISKS_HELP	"a disk: PATH[,readonly][,cache=none][,serial=TEXT]; may be given again"

/*
 * struct disks - the disks of a guest
 * @paths: the paths that @all refers to
 * @step: what failed, for messages
 */
struct disks {
	unsigned int nr;
	struct block_options all[OPTION_VALUES];
	char *paths[OPTION_VALUES];
	char step[DISK_WHY + 128];
};

/* Parse the options. Returns 0, or the status to exit with, after an error message. */
int disks_read(struct disks *disks, const struct option_list *list);

/* Give the machine all disks. Returns 0, or -errno with the machine's step. */
int disks_add(struct disks *disks, struct machine *machine);

void disks_free(struct disks *disks);

#endif /* VMM_CMD_DISKS_H */
