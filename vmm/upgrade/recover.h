/* SPDX-License-Identifier: MIT */
/* Takes over the state of a VMM that died, out of its untrusted live page. */
#ifndef VMM_UPGRADE_RECOVER_H
#define VMM_UPGRADE_RECOVER_H

#include <stdbool.h>
#include <stddef.h>

#include "live/live.h"

struct loop;
struct machine;
struct upgrade_run;

/* Returns 0 or -errno. @fd stays the caller's; call live_close() afterwards. */
int recover_open(struct live *live, int fd);

/* Get what goes along with the devices, and their sections, for free(). Returns 0 or -errno. */
int recover_read(const struct live *live, struct upgrade_run *run, void **sections, size_t *size);

/*
 * Take over the tables of its disks into a machine that publishes its own; -EPROTO: the queues
 * differ. And take over its console, before the guest runs.
 */
int recover_tables(const struct live *live, struct machine *machine);
void recover_console(const struct live *live, struct loop *loop);

/* Has the exit in this vCPU's run page been answered? */
bool recover_was_answered(const struct live *live, unsigned int vcpu);

#endif /* VMM_UPGRADE_RECOVER_H */
