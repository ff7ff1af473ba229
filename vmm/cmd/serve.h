/* SPDX-License-Identifier: MIT */
/* What the commands have in common that start a guest: it runs, and is served. */
#ifndef VMM_CMD_SERVE_H
#define VMM_CMD_SERVE_H

#include "control/names.h"
#include "helper/helper.h"
#include "machine/machine.h"

struct devices;
struct loop;

/*
 * struct serving - how a guest is served
 * @claim: its name, and so a control socket; or none
 * @helper: does for it what it may not
 * @socket: where another process may ask for it, or NULL
 * @snapshot: the directory for snapshots by signal, or NULL
 * @exposes: such a snapshot may expose private memory
 * @snapshot_on: a line with this asks for one as well, or NULL
 * @keeps: the guest is to go on where its VMM dies, if it has a name; @crashes: so often within
 *	a minute; @hang: also where its main loop hangs for so many seconds, if not 0
 * @no_snapshot: why it can't be kept in a directory, or upgraded, or NULL
 * @devices: what it was given, after serve_with_helper()
 * @arrive: of a VMM that takes the guest over: called, with @data, when all else is done, in
 *	place of starting it. It ends with the exit status
 * @control: of such a one: the socket of the control server, else 0
 * @manager: the service manager's socket, or negative (common/service.h)
 * @elsewhere: name and helper are another process's
 */
struct serving {
	struct vm_claim claim;
	struct helper helper;
	const char *socket;
	const char *snapshot;
	long exposes;
	const char *snapshot_on;
	bool keeps;
	long crashes;
	long hang;
	const char *no_snapshot;
	const struct devices *devices;
	int (*arrive)(struct serving *serving, struct loop *loop);
	void *data;
	int control;
	int manager;
	bool elsewhere;
};

/* Rows of a table of options. */
#define NO_KEEPER_ROW(no_keeper)						\
	{ .name = "no-keeper", .number = &(no_keeper),				\
	  .help = "the guest ends where its VMM is killed; else another one goes on" }
#define CRASHES_ROW(count)							\
	{ .name = "crashes", .argument = "N", .number = &(count),		\
	  .least = 1, .most = 99, .help = "... at most so often within a minute (5)" }
#define HANG_ROW(seconds)							\
	{ .name = "hang", .argument = "S", .number = &(seconds),		\
	  .least = 0, .most = 86400, .help = "... also where its VMM hangs for S seconds (0: not)" }

#define SERVE_CRASHES	5

/* Will its directory take a snapshot? Says why not. 0, or the status to exit with. */
int serve_check(const struct serving *serving);

/* Have the name, if there is one. Says what is wrong. 0, or the status to exit with. */
int serve_as(struct serving *serving, const char *name);

/*
 * Start the helper, before anything of the guest's is there: it is for the network of
 * @devices, and for the page server at @pager, or NULL. 0, or the status to exit with,
 * after a word on it.
 */
int serve_with_helper(struct serving *serving, const struct devices *devices,
		      const char *pager);

/* Let the helper and the name go. */
void serve_end(struct serving *serving);

/* Run the machine's guest until its end. Returns the status to exit with. */
int serve_guest(struct machine *machine, struct serving *serving);

#endif /* VMM_CMD_SERVE_H */
