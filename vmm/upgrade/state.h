/* SPDX-License-Identifier: MIT */
/* The content of the state page: the VMM's own sections, followed by the devices'. */
#ifndef VMM_UPGRADE_STATE_H
#define VMM_UPGRADE_STATE_H

#include "devices/terminal.h"
#include "machine/machine.h"
#include "options.h"

#define UPGRADE_ROOM	(2U << 20)	/* bytes of a state page */
#define UPGRADE_TYPED	TERMINAL_TYPED

/*
 * struct upgrade_run - state that goes along with the devices
 * @paused: a person wants the guest to stand still
 * @shown: how many bytes of the console's line its reader has had
 * @fired: the line that a snapshot was to be made on has come
 * @nr_typed, @typed: console input that the guest has not read
 * @passt: for each card of passt's: the number of its connection, or 0 with @up false
 */
struct upgrade_run {
	uint32_t paused;
	uint32_t shown;
	uint32_t fired;
	uint32_t nr_typed;
	char typed[UPGRADE_TYPED];
	struct {
		uint32_t up;
		uint32_t number;
	} passt[OPTION_VALUES];
};

/* Save everything, as bytes for free(). Returns 0 or -errno. */
int upgrade_state_save(const struct machine *machine, const struct upgrade_run *run,
		       void **bytes, size_t *size);

/*
 * Read the VMM's own sections, and find where the devices' begin. Returns 0, or -errno with
 * machine->why.
 */
int upgrade_state_read(struct machine *machine, const void *bytes, size_t size,
		       struct upgrade_run *run, size_t *devices);

#endif /* VMM_UPGRADE_STATE_H */
