/* SPDX-License-Identifier: MIT */
/* The demonstration's guest, which fills its memory and counts. */
#ifndef VMM_BOOT_COUNTING_H
#define VMM_BOOT_COUNTING_H

#include "machine/machine.h"

/*
 * Memory, image and registers of the demonstration's guest. @found: it is to find
 * its private memory as a guest before it has left that.
 */
int machine_boot(struct machine *machine, uint64_t private_size, bool found);

/* Ask that guest to check its memory; returns -ENOENT if it has no mailbox. */
int machine_ask_check(struct machine *machine);

/* How far that guest has counted, as far as it says. */
uint64_t machine_count(struct machine *machine);

#endif /* VMM_BOOT_COUNTING_H */
