/* SPDX-License-Identifier: MIT */
/* The common part of the commands that start a guest: run it, and serve it. */
#ifndef VMM_CMD_SERVE_H
#define VMM_CMD_SERVE_H

#include "control/names.h"
#include "helper/helper.h"
#include "machine/machine.h"

struct devices;
struct loop;

/*
 * struct serving - how a guest is served
 * @claim: its name, with which it gets a control socket; or none
 * @helper: does what the VMM itself may not do
 * @socket: where another process may ask for the guest, or NULL
 * @snapshot: the directory for snapshots by signal, or NULL
 * @exposes: such a snapshot may expose private memory
 * @snapshot_on: a console line with this text also asks for a snapshot, or NULL
 * @keeps: the guest goes on if its VMM dies, provided that it has a name; @crashes: at most so
 *	often within a minute; @hang: if not 0: also if its main loop hangs for so many seconds
 * @no_snapshot: why it can't be kept in a directory, or upgraded, or NULL
 * @devices: its devices, after serve_with_helper()
 * @arrive: of a VMM that takes the guest over: called with @data instead of starting the guest,
 *	when everything else is done. Returns the exit status
 * @control: of such a VMM: the socket of the control server, else 0
 * @manager: the service manager's socket, or negative (common/service.h)
 * @elsewhere: name and helper belong to another process
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

/*
 * Check that its directory can take a snapshot, or print why not. Returns 0, or the status to exit
 * with.
 */
int serve_check(const struct serving *serving);

/*
 * Claim the name, if there is one, or print what is wrong. Returns 0, or the status to exit with.
 */
int serve_as(struct serving *serving, const char *name);

/*
 * Start the helper, before anything of the guest exists. It serves the network of @devices, and the
 * page server at @pager, or NULL. Returns 0, or the status to exit with, after an error message.
 */
int serve_with_helper(struct serving *serving, const struct devices *devices,
		      const char *pager);

/* Release the helper and the name. */
void serve_end(struct serving *serving);

/* Run the machine's guest until its end. Returns the status to exit with. */
int serve_guest(struct machine *machine, struct serving *serving);

#endif /* VMM_CMD_SERVE_H */
