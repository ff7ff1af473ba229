// SPDX-License-Identifier: MIT
/* The helper's process: its start and end. */
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "control/names.h"
#include "helper/process.h"

#define MOST_FDS	(OPTION_VALUES + 10)

static int open_all(struct process *process, const struct helper *theirs, int vmm)
{
	int ret = events_open(&process->events);

	process->theirs = *theirs;
	if (!ret)
		ret = kept_terminal_watch(&process->terminal, &process->events, vmm);
	if (!ret)
		ret = bring_back_open(process, vmm);
	return ret ? ret : channels_open(process);
}

/* Of the VMM's descriptors it has stderr, its channels, a terminal, and the name. */
static int keep_few(const struct helper_plan *plan, const struct helper *theirs, int vmm,
		    int terminal)
{
	int fds[MOST_FDS] = {
		theirs->files, theirs->pager, vmm, -1, -1, -1, theirs->upgrade,
		plan->upgrade > 0 ? plan->upgrade : -1,
		plan->program > 0 ? plan->program : -1, terminal,
	};
	unsigned int i, nr = 10;

	if (plan->claim) {
		fds[3] = plan->claim->base;
		fds[4] = plan->claim->dir;
		fds[5] = plan->claim->lock;
	}
	for (i = 0; i < theirs->nr_nets; i++)
		fds[nr++] = theirs->nets[i];
	dup2(STDERR_FILENO, STDOUT_FILENO);
	return empty_stdin() || close_all_but(fds, nr) ? -EIO : 0;
}

/* It ends when the VMM does: @vmm tells, and the channels. Keys of the terminal are not for it. */
static void run(const struct helper_plan *plan, const struct helper *theirs, int vmm,
		const struct kept_terminal *terminal)
{
	static struct process process = {
		.files.dir = -1, .lock = -1, .files_event.fd = -1, .pager_event.fd = -1,
	};
	int ret = keep_few(plan, theirs, vmm, terminal->fd);

	process.terminal = *terminal;
	process.plan = plan;
	if (plan->claim)
		process.lock = plan->claim->lock;
	prctl(PR_SET_NAME, "gmem-helper");
	setsid();
	if (!ret)
		ret = open_all(&process, theirs, vmm);
	while (!ret && (process.left || process.lock >= 0))
		ret = events_wait(&process.events, -1);
	kept_terminal_close(&process.terminal);
	_exit(!!ret);
}

/* ---- The VMM's side ---- */

int helper_start(struct helper *helper, const struct helper_plan *plan)
{
	struct helper theirs = HELPER_NONE;
	struct kept_terminal terminal;
	int ret, vmm;

	*helper = (struct helper)HELPER_NONE;
	ret = channels_make(helper, &theirs, plan);
	vmm = syscall(SYS_pidfd_open, getpid(), 0);
	if (!ret && vmm < 0)
		ret = -errno;
	/* Here: the VMM is about to set it. */
	kept_terminal_find(&terminal);
	fflush(stdout);
	if (!ret) {
		helper->pid = fork();
		if (!helper->pid)
			run(plan, &theirs, vmm, &terminal);
		if (helper->pid < 0)
			ret = -errno;
	}
	close_fd(&vmm);
	close_fd(&terminal.fd);
	channels_close_ends(&theirs);
	if (ret) {
		helper->pid = 0;
		channels_close_ends(helper);
	}
	return ret;
}

void helper_leave(struct helper *helper)
{
	channels_close_ends(helper);
	helper->pid = 0;
}

void helper_stop(struct helper *helper)
{
	channels_close_ends(helper);
	if (!helper->pid)
		return;
	while (waitpid(helper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	helper->pid = 0;
}
