// SPDX-License-Identifier: MIT
/*
 * Which process has the guest: the VMM, until that dies; the next one, when an upgrade has
 * succeeded; or one that is started in place of a dead one.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/say.h"
#include "control/names.h"
#include "helper/parts.h"
#include "helper/process.h"
#include "helper/wire.h"

#define UPGRADE_WAIT	15	/* s for one that was under way when the VMM died */
#define GRACE		30	/* s for a VMM to end that has given its guest away */

/* What was asked for on them by the one that died, and not answered, is forgotten. */
static int reopen_channels(struct process *process, struct helper *ours)
{
	int ret;

	snapshot_files_drop(&process->files);
	channels_close(process);
	/* passt goes on: its channels are closed when it has the new ones. */
	process->theirs = (struct helper)HELPER_NONE;
	ret = channels_make(ours, &process->theirs, process->plan);
	if (!ret)
		ret = channels_open(process);
	return ret ? ret : successor_reopen(process->successor, process->theirs.upgrade);
}

static int start_next(struct process *process)
{
	struct helper ours = HELPER_NONE;
	int socket, pidfd;
	int ret = reopen_channels(process, &ours);

	if (!ret)
		ret = successor_start(process->successor, &socket, &pidfd);
	if (ret) {
		channels_close_ends(&ours);
		return ret;
	}
	/* Till it has the guest it is the one that 'gmem kill' ends, and 'gmem ps' shows. */
	vm_set_pid(process->plan->claim, process->successor->pid);
	return keeper_begin(&process->keeper, socket, pidfd, &ours);
}

static void give_up(struct process *process, int error)
{
	if (error != -ECANCELED && process->plan->claim)
		vm_keep_reason(process->plan->claim,
			       "its VMM has died: no other one could be started");
	if (error != -ECANCELED)
		say_failed(error, "starting a VMM in place of the one that died: the guest ends");
	process_end(process);
}

/* At once, or when the keeper's time is over: see not_taken_over() */
static int begin_next(struct process *process)
{
	unsigned int delay = keeper_delay(&process->keeper);

	if (!delay)
		return start_next(process);
	keeper_wait(&process->keeper, delay);
	return 0;
}

/* The VMM is dead, and so is the next one, if there was one. */
static void bring_back(struct process *process)
{
	int ret = -ECANCELED;

	process->successor->orphan = true;
	successor_drain(process->successor);
	if (!process->released && !process->successor->wanted &&
	    keeper_is_ready(&process->keeper) && !keeper_is_wanted_end(&process->keeper) &&
	    keeper_settle(&process->keeper))
		ret = begin_next(process);
	if (ret)
		give_up(process, ret);
}

/* The other end of a channel may have been given to a process that lives on. */
static void vmm_ended(struct event *event, uint32_t ready)
{
	struct process *process = event->data;

	(void)ready;
	events_remove(&process->events, event);
	/* The next one may have the guest already, and will say so, or end. */
	if (process->successor && successor_is_there(process->successor)) {
		process->successor->orphan = true;
		keeper_wait(&process->keeper, UPGRADE_WAIT);
	} else if (process->successor) {
		bring_back(process);
	} else {
		process_end(process);
	}
}

/*
 * A VMM that has given its guest away ends, and is to leave nothing behind: neither itself, if
 * it does not.
 */
static void await_end(struct process *process, int pidfd)
{
	events_remove(&process->events, &process->vmm_event);
	process->vmm_event.fd = -1;
	departing_add(&process->events, pidfd, GRACE,
		      process->plan->claim ? process->plan->claim->name : "?", &process->left);
}

/* It has the guest: @pidfd is of the VMM from here on. */
static void succeeded(void *data, pid_t pid, int pidfd)
{
	struct process *process = data;
	int former = process->vmm_event.fd;

	if (process->successor->orphan) {
		process_reap(former);
		close(former);
	} else {
		await_end(process, former);
	}
	process->successor->orphan = false;
	process->vmm_event.fd = pidfd;
	keeper_adopt(&process->keeper);
	if (!process->keeper.handover)
		keeper_wait(&process->keeper, 0);
	process->successor->stays = keeper_is_ready(&process->keeper);
	if (events_add(&process->events, &process->vmm_event, EPOLLIN))
		channels_end(process);
	if (process->plan->claim)
		vm_set_pid(process->plan->claim, pid);
}

/* Of one that had just begun, and could not do what a VMM does then: see loop_block_signals() */
static bool asks_for_end(int signal)
{
	return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT;
}

/*
 * It has not, or has not said so, and is dead. Where the VMM lives the guest is that one's, unless
 * the kernel says otherwise: then it has given its guest away, and ends.
 */
static void failed(void *data, int signal)
{
	struct process *process = data;
	struct successor *successor = process->successor;

	successor_drain(successor);
	if (!successor->orphan && keeper_has_moved(&process->keeper)) {
		await_end(process, process->vmm_event.fd);
		successor->orphan = true;
	}
	successor->wanted |= successor->orphan && asks_for_end(signal);
	if (successor->orphan)
		bring_back(process);
	else
		keeper_give_up(&process->keeper);
}

/* By the keeper: the next VMM says nothing, or not what it should; or it is time to start one. */
static void not_taken_over(void *data)
{
	struct process *process = data;
	struct successor *successor = process->successor;
	pid_t pid = successor->pid;
	int ret;

	keeper_give_up(&process->keeper);
	if (!successor->orphan)
		return;
	if (!successor_is_there(successor)) {
		ret = start_next(process);
		if (ret)
			give_up(process, ret);
		return;
	}
	successor_drain(successor);
	/* Else it has the guest, or another one was started in its place. */
	if (successor->pid == pid)
		successor_kill(successor);
}

/* A guest that is kept the kernel is asked for, whoever says what. */
static bool has_moved(void *data)
{
	struct process *process = data;

	return !keeper_is_ready(&process->keeper) || keeper_has_given(&process->keeper);
}

/* Of the VMM, or of one that was started to have its guest. */
static int held(void *data, const struct helper_message *message, int fd)
{
	struct process *process = data;
	int ret = keeper_hold(&process->keeper, message, fd, process->successor->pid);

	/* Also of one that has died since. */
	process->successor->stays = keeper_is_ready(&process->keeper);
	return ret;
}

/*
 * An upgrade has deadlines of its own, within which the main loop waits for the next VMM. Whoever
 * has stopped the VMM for a look into it wants to find it there again.
 */
static void look(void *data)
{
	struct process *process = data;
	const struct successor *successor = process->successor;
	const struct helper_plan *plan = process->plan;
	bool wanted = !successor->orphan && !successor_is_there(successor) &&
		      !pulse_is_held(process->vmm_event.fd);

	if (!pulse_is_gone(&process->pulse, wanted ? keeper_beat(&process->keeper) : 0))
		return;
	fprintf(stderr, "gmem: %s: its VMM has hung for %u s, and is killed\n",
		plan->claim ? plan->claim->name : "?", plan->hang);
	process_kill(process->vmm_event.fd);
}

/* ---- Its beginning ---- */

static int open_successor(struct process *process)
{
	struct successor *successor;

	process->left++;
	successor = successor_open(&process->events, process->theirs.upgrade,
				   process->plan->upgrade, &process->left);
	if (!successor)
		return -ENOMEM;
	successor->succeeded = succeeded;
	successor->failed = failed;
	successor->data = process;
	if (process->plan->program > 0) {
		successor->program = process->plan->program;
		successor->held = held;
		successor->has_moved = has_moved;
	}
	process->successor = successor;
	return 0;
}

int bring_back_open(struct process *process, int vmm)
{
	int ret;

	process->vmm_event = (struct event){ .fd = vmm, .ready = vmm_ended, .data = process };
	ret = events_add(&process->events, &process->vmm_event, EPOLLIN);
	if (!ret)
		ret = keeper_open(&process->keeper, &process->events, process->plan);
	process->keeper.failed = not_taken_over;
	process->keeper.data = process;
	if (ret || process->theirs.upgrade < 0)
		return ret;
	process->pulse.look = look;
	process->pulse.data = process;
	ret = open_successor(process);
	return ret ? ret : pulse_open(&process->pulse, &process->events, process->plan->hang);
}
