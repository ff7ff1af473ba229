// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/say.h"
#include "common/status.h"
#include "handover/source.h"
#include "loop.h"
#include "snapshot/snapshot.h"

static const int awaited[] = { SIGINT, SIGTERM };

static sigset_t awaited_signals(void)
{
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(awaited) / sizeof(awaited[0]); i++)
		sigaddset(&set, awaited[i]);
	return set;
}

void loop_block_signals(void)
{
	sigset_t set = awaited_signals();

	sigprocmask(SIG_BLOCK, &set, NULL);
	/* The reader of our output may go away: that is no end of a guest. */
	signal(SIGPIPE, SIG_IGN);
}

void loop_block_snapshot_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int loop_signals(void)
{
	sigset_t set = awaited_signals();
	int signals;

	sigaddset(&set, SIGUSR2);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	return signals < 0 ? -errno : signals;
}

/* Stop the guest, keep it, and let it go on, whatever came of that. */
static int make_snapshot(struct loop *loop)
{
	struct vcpus *vcpus = loop->vcpus;
	struct machine *machine = vcpus->machine;
	uint64_t told;
	int ret;

	vcpus_stop(vcpus);
	if (read(vcpus->still_fd, &told, sizeof(told)) < 0 && errno != EAGAIN)
		return -errno;
	if (vcpus->ended)
		return 0;
	report("stopped", "left=%" PRIu64, vcpus->left_ns);
	ret = snapshot_save(machine, loop->snapshot);
	loop->unkept = ret;
	if (ret) {
		say_failed(ret, "%s, %s", machine->step, loop->snapshot);
	} else {
		say("the guest is kept in %s", loop->snapshot);
		report("snapshot", "left=%" PRIu64, vcpus->left_ns);
	}
	return vcpus_go(vcpus);
}

/* No success without the snapshot that was asked for last. */
static int end_with(const struct loop *loop, int status)
{
	return status == EXIT_DONE && loop->unkept ? EXIT_FAILED : status;
}

static void end(struct loop *loop, int status)
{
	loop->over = true;
	loop->status = end_with(loop, status);
}

static void snapshot_now(struct loop *loop)
{
	int ret = loop->over ? 0 : make_snapshot(loop);

	if (ret)
		end(loop, say_failed(ret, "going on after a snapshot"));
}

static void signalled(struct event *event, uint32_t ready)
{
	struct signalfd_siginfo signal;

	(void)ready;
	if (read(event->fd, &signal, sizeof(signal)) == sizeof(signal) &&
	    signal.ssi_signo == SIGUSR2)
		snapshot_now(event->data);
	else
		end(event->data, EXIT_DONE);
}

static void stands_still(struct event *event, uint32_t ready)
{
	(void)ready;
	snapshot_now(event->data);
}

static void guest_ended(struct event *event, uint32_t ready)
{
	struct loop *loop = event->data;

	(void)ready;
	end(loop, loop->vcpus->status);
}

static void connected(struct event *event, uint32_t ready)
{
	struct loop *loop = event->data;

	(void)ready;
	if (!loop->over && source_serve(loop->vcpus, loop->listener) == THEIRS)
		end(loop, EXIT_DONE);
}

int loop_serve(struct loop *loop)
{
	struct vcpus *vcpus = loop->vcpus;
	struct events *events = &vcpus->machine->events;
	struct event own[] = {
		{ .fd = loop->signals, .ready = signalled, .data = loop },
		{ .fd = vcpus->ended_fd, .ready = guest_ended, .data = loop },
		{ .fd = vcpus->still_fd, .ready = stands_still, .data = loop },
		{ .fd = loop->listener, .ready = connected, .data = loop },
	};
	size_t i, nr = loop->listener < 0 ? 3 : 4;
	int ret = 0;

	for (i = 0; !ret && i < nr; i++)
		ret = events_add(events, &own[i], EPOLLIN);
	while (!ret && !loop->over)
		ret = events_wait(events, -1);
	for (i = 0; i < nr; i++)
		events_remove(events, &own[i]);
	return ret ? say_failed(ret, "waiting") : loop->status;
}

int loop_run(struct loop *loop)
{
	int ret, status;

	loop->signals = loop_signals();
	if (loop->signals < 0)
		return say_failed(loop->signals, "watching for signals");
	ret = vcpus_go(loop->vcpus);
	status = ret ? say_failed(ret, "starting the vCPU's vcpus") :
		       loop_serve(loop);
	close(loop->signals);
	return status;
}
