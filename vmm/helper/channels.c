// SPDX-License-Identifier: MIT
/* What the helper is asked for, by the channels that it and the VMM have an end of each. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/fd-message.h"
#include "control/names.h"
#include "helper/parts.h"
#include "helper/process.h"
#include "helper/wire.h"

/* ---- Making them ---- */

void channels_close_ends(struct helper *helper)
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

int channels_make(struct helper *ours, struct helper *theirs, const struct helper_plan *plan)
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

/* ---- What is asked for ---- */

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

/* ---- Answers ---- */

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

void channels_close(struct process *process)
{
	end_channel(&process->files_event);
	end_channel(&process->pager_event);
}

void channels_end(struct process *process)
{
	unsigned int i;

	if (process->files_event.fd >= 0)
		shutdown(process->files_event.fd, SHUT_RDWR);
	if (process->pager_event.fd >= 0)
		shutdown(process->pager_event.fd, SHUT_RDWR);
	if (process->successor)
		successor_let_go(process->successor);
	for (i = 0; i < OPTION_VALUES; i++)
		if (process->passts[i])
			passt_program_let_go(process->passts[i]);
}

void process_end(struct process *process)
{
	if (process->successor)
		process->successor->orphan = false;
	let_go_of_name(process);
	keeper_close(&process->keeper);
	channels_end(process);
}

/* ---- Serving them ---- */

/* What was not kept when the VMM ends goes. */
static void asked_for_files(struct event *event, uint32_t ready)
{
	struct process *process = event->data;

	(void)ready;
	if (answer(event, do_files)) {
		/* A VMM that has no name any more, and goes on, has no network either. */
		if (process->released)
			channels_end(process);
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

/* One that is there, of a VMM before, goes on. */
static int open_passt(struct process *process, unsigned int nth)
{
	static const bool ends;
	const bool *stays = process->successor ? &process->successor->stays : &ends;
	struct passt_program **passt = &process->passts[nth];
	int channel = process->theirs.nets[nth];

	return *passt ? passt_program_reopen(*passt, channel) :
			passt_program_open(passt, &process->events, channel,
					   process->plan->mtus[nth], stays, &process->left);
}

int channels_open(struct process *process)
{
	const struct helper *theirs = &process->theirs;
	unsigned int i;
	int ret;

	ret = watch(process, &process->files_event, theirs->files, asked_for_files);
	if (!ret)
		ret = watch(process, &process->pager_event, theirs->pager, asked_for_pager);
	for (i = 0; !ret && i < theirs->nr_nets; i++)
		ret = open_passt(process, i);
	return ret;
}

