/* SPDX-License-Identifier: MIT */
/* The demonstration's guest, which fills its memory and counts. */
#ifndef VMM_BOOT_COUNTING_H
#define VMM_BOOT_COUNTING_H

#include "machine/machine.h"

/*
 * Set up memory, image and registers of the demonstration's guest. @found: the guest expects its
 * private memory as an earlier guest has left it.
 */
int machine_boot(struct machine *machine, uint64_t private_size, bool found);

/* Ask that guest to check its memory; returns -ENOENT if it has no mailbox. */
int machine_ask_check(struct machine *machine);

/* How far that guest says that it has counted. */
uint64_t machine_count(struct machine *machine);

#endif /* VMM_BOOT_COUNTING_H */
