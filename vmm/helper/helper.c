// SPDX-License-Identifier: MIT
/* The helper's process: its start and end, and what is asked for of it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/events.h"
#include "common/fd-message.h"
#include "common/say.h"
#include "control/names.h"
#include "helper/helper.h"
#include "helper/keeper.h"
#include "helper/parts.h"
#include "helper/wire.h"

#define MOST_FDS	(OPTION_VALUES + 9)
#define UPGRADE_WAIT	15	/* s for one that was under way when the VMM died */

/*
 * struct process - the helper's own state
 * @theirs: all channels, by their numbers
 * @left: channels that are open
 * @vmm_event: a pidfd: the VMM is gone
 * @files_event, @pager_event: channels; those of passt are with the programs
 * @successor: the next VMM, or NULL: none can be asked for
 * @files: a snapshot that is being written
 * @listener: the socket that is there at the plan's path, while @listens; it is told once
 * @given: a descriptor that came with the request, or -1
 * @keeper: holds what the guest needs beyond its VMM
 * @orphan: the VMM has ended, and the next one is about to have the guest
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
	struct successor *successor;
	struct keeper keeper;
	struct snapshot_files files;
	struct stat listener;
	bool told_listener;
	bool listens;
	int given;
	int lock;
	bool killed;
	bool orphan;
	bool released;
};

/* ---- Channels, of which each side has an end ---- */

static void close_ends(struct helper *helper)
{
	while (helper->nr_nets)
		close_fd(&helper->nets[--helper->nr_nets]);
	close_fd(&helper->files);
	close_fd(&helper->pager);
	close_fd(&helper->upgrade);
}

static int open_pair(int *ours, int *theirs)
{
	int ends[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	/* The helper waits for nobody who does not read. */
	if (fcntl(ends[1], F_SETFL, O_NONBLOCK)) {
		ret = -errno;
		close(ends[0]);
		close(ends[1]);
		return ret;
	}
	*ours = ends[0];
	*theirs = ends[1];
	return 0;
}

static int open_pairs(struct helper *ours, struct helper *theirs, const struct helper_plan *plan)
{
	unsigned int nr_nets = plan->nr_nets;
	int ret = open_pair(&ours->files, &theirs->files);

	if (!ret)
		ret = open_pair(&ours->pager, &theirs->pager);
	if (!ret && plan->upgrade > 0)
		ret = open_pair(&ours->upgrade, &theirs->upgrade);
	while (!ret && ours->nr_nets < nr_nets) {
		ret = open_pair(&ours->nets[ours->nr_nets], &theirs->nets[theirs->nr_nets]);
		ours->nr_nets += !ret;
		theirs->nr_nets += !ret;
	}
	return ret;
}

/*
 * Not gmem_connect(): a page server may be another user's. -EAGAIN: it has not accepted
 * those that came before, and the others that ask here are not kept waiting for that.
 */
static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, ret;

	if (!path)
		return -ENOENT;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)) &&
	    !fcntl(fd, F_SETFL, 0))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

static int remember_listener(struct process *process)
{
	if (process->told_listener || !process->plan->listener)
		return -EPROTO;
	process->told_listener = true;
	if (lstat(process->plan->listener, &process->listener))
		return -errno;
	process->listens = true;
	return 0;
}

/* Another gmem may have put one of its own there. */
static int remove_listener(struct process *process)
{
	const char *path = process->plan->listener;
	struct stat now;

	if (!process->listens || lstat(path, &now) || now.st_dev != process->listener.st_dev ||
	    now.st_ino != process->listener.st_ino)
		return -ENOENT;
	process->listens = false;
	return unlink(path) ? -errno : 0;
}

static int make_files(struct process *process, int *fds, unsigned int *nr)
{
	struct snapshot_fds files;
	int ret;

	if (!process->plan->snapshot)
		return -EPERM;
	if (process->files.dir >= 0)
		return -EBUSY;
	ret = snapshot_files_make(&process->files, process->plan->snapshot, &files);
	if (ret)
		return ret;
	fds[0] = files.memory;
	fds[1] = files.state;
	*nr = 2;
	return 0;
}

static int kill_other(struct process *process)
{
	if (!process->plan->kills || process->killed)
		return -EPROTO;
	process->killed = true;
	return syscall(SYS_pidfd_send_signal, process->given, SIGKILL, NULL, 0) ? -errno : 0;
}

/*
 * The name is the VMM's for as long as that lives, also if it closes what it has of it: else
 * somebody who has taken it over would have the commands believe that it has ended.
 */
static void let_go_of_name(struct process *process)
{
	if (process->lock >= 0)
		close(process->lock);
	process->lock = -1;
}

/* Descriptors that go with the answer are put into @fds, *nr of them. */
static int do_files(struct process *process, const struct helper_message *message, int *fds,
		    unsigned int *nr)
{
	const struct helper_plan *plan = process->plan;

	if (process->released)
		return -EPROTO;
	switch (message->kind) {
	case HELPER_MAKE:
		return make_files(process, fds, nr);
	case HELPER_KEEP:
		return snapshot_files_keep(&process->files);
	case HELPER_DROP:
		return snapshot_files_drop(&process->files);
	case HELPER_LISTENS:
		return remember_listener(process);
	case HELPER_UNLISTEN:
		return remove_listener(process);
	case HELPER_KILL:
		return kill_other(process);
	case HELPER_RELEASE:
		if (plan->claim)
			vm_remove(plan->claim);
		let_go_of_name(process);
		process->released = true;
		return 0;
	default:
		return -EPROTO;
	}
}

static int do_pager(struct process *process, const struct helper_message *message, int *fds,
		    unsigned int *nr)
{
	if (message->kind != HELPER_CONNECT)
		return -EPROTO;
	fds[0] = connect_to(process->plan->pager);
	*nr = fds[0] >= 0;
	return fds[0] < 0 ? fds[0] : 0;
}

/* False: the channel has ended. */
static bool answer(struct event *event, int (*carry_out)(struct process *process,
							 const struct helper_message *message,
							 int *fds, unsigned int *nr))
{
	struct helper_message message;
	int given[FD_MESSAGE_FDS], fds[FD_MESSAGE_FDS];
	struct process *process = event->data;
	unsigned int nr = 0;
	int ret = helper_receive(event->fd, &message, given);
	bool good = ret > 0 && !*message.text;

	process->given = given[0];
	if (good)
		message.error = carry_out(process, &message, fds, &nr);
	fd_message_close(given);
	if (!good)
		return false;
	message.kind = HELPER_ANSWER;
	ret = helper_send(event->fd, &message, fds, nr);
	while (nr)
		close(fds[--nr]);
	return !ret;
}

static void end_channel(struct event *event)
{
	struct process *process = event->data;

	if (event->fd < 0)
		return;
	events_remove(&process->events, event);
	close(event->fd);
	event->fd = -1;
	process->left--;
}

/* Each ends here as it does when it is closed there. */
static void end_all_channels(struct process *process)
{
	const struct helper *theirs = &process->theirs;
	unsigned int i;

	if (process->files_event.fd >= 0)
		shutdown(process->files_event.fd, SHUT_RDWR);
	if (process->pager_event.fd >= 0)
		shutdown(process->pager_event.fd, SHUT_RDWR);
	if (process->successor)
		successor_let_go(process->successor);
	for (i = 0; i < theirs->nr_nets; i++)
		shutdown(theirs->nets[i], SHUT_RDWR);
}

static void end_all(struct process *process)
{
	process->orphan = false;
	let_go_of_name(process);
	keeper_close(&process->keeper);
	end_all_channels(process);
}

/* ---- The guest goes on where its VMM has died ---- */

static int open_parts(struct process *process);

/* What was asked for on them by the one that died, and not answered, is forgotten. */
static int reopen_channels(struct process *process, struct helper *ours)
{
	int ret;

	snapshot_files_drop(&process->files);
	end_channel(&process->files_event);
	end_channel(&process->pager_event);
	/* Those of passt end with it, when it is seen that nobody has their other ends. */
	process->theirs = (struct helper)HELPER_NONE;
	ret = open_pairs(ours, &process->theirs, process->plan);
	if (!ret)
		ret = open_parts(process);
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
		close_ends(&ours);
		return ret;
	}
	/* Till it has the guest it is the one that 'gmem kill' ends, and 'gmem ps' shows. */
	vm_set_pid(process->plan->claim, process->successor->pid);
	return keeper_begin(&process->keeper, socket, pidfd, &ours);
}

/* The VMM is dead, and so is the next one, if there was one. */
static void bring_back(struct process *process)
{
	int ret = -ECANCELED;

	process->orphan = true;
	successor_drain(process->successor);
	if (!process->released && !process->successor->wanted &&
	    keeper_is_ready(&process->keeper) && !keeper_is_wanted_end(&process->keeper) &&
	    keeper_settle(&process->keeper))
		ret = start_next(process);
	if (!ret)
		return;
	if (ret != -ECANCELED && process->plan->claim)
		vm_keep_reason(process->plan->claim,
			       "its VMM has died: no other one could be started");
	if (ret != -ECANCELED)
		say_failed(ret, "starting a VMM in place of the one that died: the guest ends");
	end_all(process);
}

/* The other end of a channel may have been given to a process that lives on. */
static void vmm_ended(struct event *event, uint32_t ready)
{
	struct process *process = event->data;

	(void)ready;
	events_remove(&process->events, event);
	/* The next one may have the guest already, and will say so, or end. */
	if (process->successor && successor_is_there(process->successor)) {
		process->orphan = true;
		keeper_wait(&process->keeper, UPGRADE_WAIT);
	} else if (process->successor) {
		bring_back(process);
	} else {
		end_all(process);
	}
}

/* All but the first were started here, and are the helper's children: that one is its parent. */
static void reap(int pidfd)
{
	siginfo_t info;

	waitid(P_PIDFD, pidfd, &info, WEXITED | WNOHANG);
	close(pidfd);
}

static void former_ended(struct event *event, uint32_t ready)
{
	struct process *process = event->data;

	(void)ready;
	events_remove(&process->events, event);
	reap(event->fd);
	free(event);
}

/* A VMM that has given its guest away ends, and is to leave nothing behind. */
static void await_end(struct process *process, int pidfd)
{
	struct event *former = malloc(sizeof(*former));

	if (former) {
		*former = (struct event){ .fd = pidfd, .ready = former_ended, .data = process };
		if (!events_add(&process->events, former, EPOLLIN))
			return;
	}
	free(former);
	close(pidfd);
}

/* It has the guest: @pidfd is of the VMM from here on. */
static void succeeded(void *data, pid_t pid, int pidfd)
{
	struct process *process = data;
	int former = process->vmm_event.fd;

	if (process->orphan) {
		reap(former);
	} else {
		events_remove(&process->events, &process->vmm_event);
		await_end(process, former);
	}
	process->orphan = false;
	process->vmm_event.fd = pidfd;
	keeper_adopt(&process->keeper);
	if (!process->keeper.handover)
		keeper_wait(&process->keeper, 0);
	process->successor->stays = keeper_is_ready(&process->keeper);
	if (events_add(&process->events, &process->vmm_event, EPOLLIN))
		end_all_channels(process);
	if (process->plan->claim)
		vm_set_pid(process->plan->claim, pid);
}

/*
 * It has not, or has not said so, and is dead. Where the VMM lives the guest is that one's, unless
 * the kernel says otherwise: then it has given its guest away, and ends.
 */
static void failed(void *data)
{
	struct process *process = data;

	successor_drain(process->successor);
	if (!process->orphan && keeper_has_moved(&process->keeper)) {
		events_remove(&process->events, &process->vmm_event);
		await_end(process, process->vmm_event.fd);
		process->vmm_event.fd = -1;
		process->orphan = true;
	}
	if (process->orphan)
		bring_back(process);
	else
		keeper_give_up(&process->keeper);
}

/* By the keeper: the next VMM says nothing, or not what it should. */
static void not_taken_over(void *data)
{
	struct process *process = data;
	pid_t pid;

	if (process->orphan) {
		pid = process->successor->pid;
		successor_drain(process->successor);
		/* Else it has the guest, or another one was started in its place. */
		if (process->successor->pid != pid)
			return;
		successor_end(process->successor);
		failed(process);
	} else {
		keeper_give_up(&process->keeper);
	}
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

	if (!process->orphan)
		process->successor->stays = keeper_is_ready(&process->keeper);
	return ret;
}

/* What was not kept when the VMM ends goes. */
static void asked_for_files(struct event *event, uint32_t ready)
{
	struct process *process = event->data;

	(void)ready;
	if (answer(event, do_files)) {
		/* A VMM that has no name any more, and goes on, has no network either. */
		if (process->released)
			end_all_channels(process);
		return;
	}
	snapshot_files_drop(&process->files);
	end_channel(event);
}

static void asked_for_pager(struct event *event, uint32_t ready)
{
	(void)ready;
	if (!answer(event, do_pager))
		end_channel(event);
}

static int watch(struct process *process, struct event *event, int fd,
		 void (*ready)(struct event *event, uint32_t ready))
{
	*event = (struct event){ .fd = fd, .ready = ready, .data = process };
	process->left++;
	return events_add(&process->events, event, EPOLLIN);
}

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

/* All but the successor. */
static int open_parts(struct process *process)
{
	const struct helper *theirs = &process->theirs;
	unsigned int i;
	int ret;

	ret = watch(process, &process->files_event, theirs->files, asked_for_files);
	if (!ret)
		ret = watch(process, &process->pager_event, theirs->pager, asked_for_pager);
	for (i = 0; !ret && i < theirs->nr_nets; i++) {
		process->left++;
		if (!passt_program_open(&process->events, theirs->nets[i],
					process->plan->mtus[i], &process->left))
			ret = -ENOMEM;
	}
	return ret;
}

static int open_channels(struct process *process, const struct helper *theirs, int vmm)
{
	int ret = events_open(&process->events);

	process->theirs = *theirs;
	process->vmm_event = (struct event){ .fd = vmm, .ready = vmm_ended, .data = process };
	if (!ret)
		ret = events_add(&process->events, &process->vmm_event, EPOLLIN);
	if (!ret)
		ret = keeper_open(&process->keeper, &process->events, process->plan);
	process->keeper.failed = not_taken_over;
	process->keeper.data = process;
	if (!ret && theirs->upgrade >= 0)
		ret = open_successor(process);
	return ret ? ret : open_parts(process);
}

/* Of the VMM's descriptors it has stderr, its channels, and the name: its folders and its lock. */
static int keep_few(const struct helper_plan *plan, const struct helper *theirs, int vmm)
{
	int fds[MOST_FDS] = {
		theirs->files, theirs->pager, vmm, -1, -1, -1, theirs->upgrade,
		plan->upgrade > 0 ? plan->upgrade : -1,
		plan->program > 0 ? plan->program : -1,
	};
	unsigned int i, nr = 9;

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
static void run(const struct helper_plan *plan, const struct helper *theirs, int vmm)
{
	static struct process process = {
		.files.dir = -1, .lock = -1, .files_event.fd = -1, .pager_event.fd = -1,
	};
	int ret = keep_few(plan, theirs, vmm);

	process.plan = plan;
	if (plan->claim)
		process.lock = plan->claim->lock;
	prctl(PR_SET_NAME, "gmem-helper");
	setsid();
	if (!ret)
		ret = open_channels(&process, theirs, vmm);
	while (!ret && (process.left || process.lock >= 0))
		ret = events_wait(&process.events, -1);
	_exit(!!ret);
}

/* ---- The VMM's side ---- */

int helper_start(struct helper *helper, const struct helper_plan *plan)
{
	struct helper theirs = HELPER_NONE;
	int ret, vmm;

	*helper = (struct helper)HELPER_NONE;
	ret = open_pairs(helper, &theirs, plan);
	vmm = syscall(SYS_pidfd_open, getpid(), 0);
	if (!ret && vmm < 0)
		ret = -errno;
	fflush(stdout);
	if (!ret) {
		helper->pid = fork();
		if (!helper->pid)
			run(plan, &theirs, vmm);
		if (helper->pid < 0)
			ret = -errno;
	}
	close_fd(&vmm);
	close_ends(&theirs);
	if (ret) {
		helper->pid = 0;
		close_ends(helper);
	}
	return ret;
}

void helper_leave(struct helper *helper)
{
	close_ends(helper);
	helper->pid = 0;
}

void helper_stop(struct helper *helper)
{
	close_ends(helper);
	if (!helper->pid)
		return;
	while (waitpid(helper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	helper->pid = 0;
}
