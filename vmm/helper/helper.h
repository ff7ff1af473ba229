/* SPDX-License-Identifier: MIT */
/*
 * The process that does for a VMM what needs rights which the VMM gives up when it starts
 * its guest: it starts passt, connects to a page server, makes a snapshot's files, and
 * removes the VM's name. It is forked before the VMM has anything of the guest's, is told
 * at that time all it will ever be asked for, and ends with the VMM. No word of the VMM's
 * names a file, and but for one that is used up by then, none a process.
 */
#ifndef VMM_HELPER_HELPER_H
#define VMM_HELPER_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "options.h"
#include "snapshot/files.h"

struct vm_claim;

/*
 * struct helper_plan - what the helper may be asked for
 * @claim: the name, which it removes; or NULL
 * @listener: where the guest is handed over, which it removes; or NULL
 * @pager: where the page server listens; or NULL
 * @snapshot: where a snapshot may be made; or NULL
 * @upgrade: a listener where the next VMM is asked for, or 0; the VMM closes it behind
 *	helper_start()
 * @program: of the VMM, to start the next one with where it dies; or 0: the guest dies with it
 * @crashes: so often within a minute may the VMM die; once more, and the guest ends
 * @hang: it is killed where its main loop hangs for so many seconds; 0: it is not
 * @kills: it ends another VMM, once
 * @nr_nets, @mtus: how many cards want a passt, and what each tells its guest
 */
struct helper_plan {
	const struct vm_claim *claim;
	const char *listener;
	const char *pager;
	const char *snapshot;
	int upgrade;
	int program;
	unsigned int crashes;
	unsigned int hang;
	bool kills;
	unsigned int nr_nets;
	uint16_t mtus[OPTION_VALUES];
};

/*
 * struct helper - a running one, as the VMM sees it
 * @files: the socket for a snapshot's files and for the end, or -1
 * @pager: that for the page server, or -1
 * @upgrade: that for the next VMM, or -1
 * @nets: one a card that wants a passt; passt_open() takes it over
 */
struct helper {
	pid_t pid;
	int files;
	int pager;
	int upgrade;
	unsigned int nr_nets;
	int nets[OPTION_VALUES];
};

#define HELPER_NONE { .files = -1, .pager = -1, .upgrade = -1 }

/* While this process has one thread. 0 or -errno. */
int helper_start(struct helper *helper, const struct helper_plan *plan);

/* Let it end, and wait for that; where it has a name, after helper_release(). */
void helper_stop(struct helper *helper);

/* Leave it to another VMM, which has its channels. */
void helper_leave(struct helper *helper);

/* ---- Each waits for the helper. They return 0 or -errno; -EPIPE: it has ended ---- */

/*
 * Make the files of a snapshot, in the directory of the plan, until helper_keep(): by
 * helper_drop(), or the VMM's death, all of it goes again.
 */
int helper_make(struct helper *helper, struct snapshot_fds *files);
int helper_keep(struct helper *helper);
int helper_drop(struct helper *helper);

/*
 * The socket where the guest is handed over is there, and is the one to be removed; remove
 * it; remove the VM's name, the last that the helper does.
 */
int helper_listens(struct helper *helper);
int helper_unlisten(struct helper *helper);
int helper_release(struct helper *helper);

/* SIGKILL to the process of this pidfd: once, if the plan says so, whatever comes of it. */
int helper_kill(struct helper *helper, int pidfd);

/*
 * A VMM that was started to have the guest: it has it, as it says; or it has not, as the one
 * before says, and is ended.
 */
int helper_upgraded(struct helper *helper);
int helper_upgrade_failed(struct helper *helper);

/* Hold this for the guest, which goes on by it where its VMM dies; and: that was all. */
int helper_hold(struct helper *helper, uint32_t number, int fd);
int helper_held(struct helper *helper, uint32_t count);

/* A connection to the page server, by its socket @pager. */
int helper_connect(int pager);

#endif /* VMM_HELPER_HELPER_H */
