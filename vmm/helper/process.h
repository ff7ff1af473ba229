/* SPDX-License-Identifier: MIT */
/* Inside the helper's process: its own state, which two parts have in hand. */
#ifndef VMM_HELPER_PROCESS_H
#define VMM_HELPER_PROCESS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/events.h"
#include "helper/helper.h"
#include "helper/keeper.h"
#include "helper/pulse.h"
#include "helper/terminal.h"
#include "snapshot/files.h"

struct passt_program;
struct successor;

/*
 * struct process - the helper's own state
 * @theirs: all channels, by their numbers
 * @left: channels that are open
 * @vmm_event: a pidfd: the VMM is gone
 * @files_event, @pager_event: channels; those of passt are with the programs
 * @passts: a card's each, or NULL where that has ended
 * @successor: the next VMM, or NULL: none can be asked for
 * @files: a snapshot that is being written
 * @listener: the socket that is there at the plan's path, while @listens; it is told once
 * @given: a descriptor that came with the request, or -1
 * @keeper: holds what the guest needs beyond its VMM
 * @pulse: of the VMM
 * @terminal: which the first VMM had
 * @killed: it has been asked for that, which is told once
 * @lock: of the name, until that is removed or the VMM is gone; or -1
 * @released: the name is removed, and nothing is done any more
 */
struct process {
	const struct helper_plan *plan;
	struct helper theirs;
	struct events events;
	unsigned int left;
	struct event vmm_event;
	struct event files_event;
	struct event pager_event;
	struct passt_program *passts[OPTION_VALUES];
	struct successor *successor;
	struct keeper keeper;
	struct pulse pulse;
	struct kept_terminal terminal;
	struct snapshot_files files;
	struct stat listener;
	bool told_listener;
	bool listens;
	int given;
	int lock;
	bool killed;
	bool released;
};

/* ---- Channels, and what is asked for by them: channels.c ---- */

/* Pairs of sockets, of which each side has an end, as the plan wants them. 0 or -errno. */
int channels_make(struct helper *ours, struct helper *theirs, const struct helper_plan *plan);
void channels_close_ends(struct helper *helper);

/* Serve @process->theirs, all but the successor's. 0 or -errno. */
int channels_open(struct process *process);

/* The two that are not passt's. */
void channels_close(struct process *process);

/* Each ends here as it does when it is closed there. */
void channels_end(struct process *process);

/* Nothing is done any more: the name is let go of, and the guest ends where nobody has it. */
void process_end(struct process *process);

/* ---- The guest goes on where its VMM has died: bring-back.c ---- */

/* Watch the VMM of the pidfd @vmm, and what is to be the next one. 0 or -errno. */
int bring_back_open(struct process *process, int vmm);

#endif /* VMM_HELPER_PROCESS_H */
