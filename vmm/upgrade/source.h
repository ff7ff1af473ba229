/* SPDX-License-Identifier: MIT */
/* The source's side of 'gmem upgrade': a running guest passes to a VMM that the helper starts. */
#ifndef VMM_UPGRADE_SOURCE_H
#define VMM_UPGRADE_SOURCE_H

#include <gmem.h>

#include "common/events.h"

struct control_server;
struct loop;
struct serving;

/*
 * struct upgrade - the resources of an upgrade, and the one under way
 * @state: NONE; TALKS: the next VMM builds what it needs; DRAINS: the devices come to rest. The
 *	guest runs in both. All later phases happen in one step
 * @page, @config, @info: made at the start, while that is still possible
 * @unable: why they could not be made: -errno, or 0
 * @handover: with the next VMM, process @pid
 * @client: the connection that has requested it
 * @began, @until: ns of CLOCK_MONOTONIC
 */
struct upgrade {
	enum { UPGRADE_NONE, UPGRADE_TALKS, UPGRADE_DRAINS } state;
	struct loop *loop;
	const struct serving *serving;
	int control;
	struct gmem_page page;
	int config;
	int info;
	int unable;
	struct gmem_handover *handover;
	pid_t pid;
	int client;
	uint64_t began;
	uint64_t until;
	struct event asked;
	struct event talk;
};

#define UPGRADE_CLOSED { .page = GMEM_PAGE_NONE, .config = -1, .info = -1, .client = -1 }

/*
 * Prepare for upgrades, before the VMM gives up its rights; @server has the control socket. Does
 * nothing if the helper cannot get requests. Returns 0 or -errno.
 */
int upgrade_open(struct upgrade *upgrade, struct loop *loop, const struct serving *serving,
		 const struct control_server *server);
void upgrade_close(struct upgrade *upgrade);

/* Give up an upgrade under way: the guest stays here. */
void upgrade_cancel(struct upgrade *upgrade, const char *why);
#define SNAPSHOT_COMES	"the guest has printed what --snapshot-on waits for"

/* Continue an upgrade: called in each turn of the loop while one is under way. */
void upgrade_look(struct upgrade *upgrade);

#endif /* VMM_UPGRADE_SOURCE_H */
