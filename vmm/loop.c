// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
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

/* True if the signal asks for a snapshot, false if it asks for the end. */
static bool asks_for_snapshot(int signals)
{
	struct signalfd_siginfo signal;

	return read(signals, &signal, sizeof(signal)) == sizeof(signal) &&
	       signal.ssi_signo == SIGUSR2;
}

/* No success without the snapshot that was asked for last. */
static int end_with(const struct loop *loop, int status)
{
	return status == EXIT_DONE && loop->unkept ? EXIT_FAILED : status;
}

int loop_serve(struct loop *loop)
{
	struct vcpus *vcpus = loop->vcpus;
	struct pollfd wait[] = {
		{ .fd = loop->signals, .events = POLLIN },
		{ .fd = vcpus->ended_fd, .events = POLLIN },
		{ .fd = loop->listener, .events = POLLIN },
		{ .fd = vcpus->still_fd, .events = POLLIN },
	};

	for (;;) {
		bool snapshot;

		if (poll(wait, 4, -1) < 0 && errno != EINTR)
			return say_failed(-errno, "waiting");
		snapshot = wait[3].revents;
		if (wait[0].revents) {
			if (!asks_for_snapshot(loop->signals))
				return end_with(loop, EXIT_DONE);
			snapshot = true;
		}
		if (snapshot) {
			int ret = make_snapshot(loop);

			if (ret)
				return say_failed(ret, "going on after a snapshot");
		}
		if (wait[1].revents)
			return end_with(loop, vcpus->status);
		if (wait[2].revents && source_serve(vcpus, loop->listener) == THEIRS)
			return end_with(loop, EXIT_DONE);
	}
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
