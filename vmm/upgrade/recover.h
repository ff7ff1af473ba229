/* SPDX-License-Identifier: MIT */
/* What a VMM takes over from one that died: out of its live page, which may be anything. */
#ifndef VMM_UPGRADE_RECOVER_H
#define VMM_UPGRADE_RECOVER_H

#include <stdbool.h>
#include <stddef.h>

#include "live/live.h"

struct loop;
struct machine;
struct upgrade_run;

/* 0 or -errno. @fd stays the caller's; live_close() ends it. */
int recover_open(struct live *live, int fd);

/* What goes along with the devices, and their sections, for free(). 0 or -errno. */
int recover_read(const struct live *live, struct upgrade_run *run, void **sections, size_t *size);

/*
 * Its disks' tables, into a machine that publishes its own; -EPROTO: it has not the same
 * queues. And its console, before the guest runs.
 */
int recover_tables(const struct live *live, struct machine *machine);
void recover_console(const struct live *live, struct loop *loop);

/* Was the exit that this vCPU's run page shows answered? */
bool recover_was_answered(const struct live *live, unsigned int vcpu);

#endif /* VMM_UPGRADE_RECOVER_H */
