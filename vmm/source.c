// SPDX-License-Identifier: MIT
/*
 * The source's side of a handover. The guest is ours until the destination
 * has said COMMIT: whatever goes wrong before, it goes on here.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "commands.h"
#include "dialogue.h"
#include "say.h"
#include "snapshot.h"
#include "source.h"

/* Whose is the guest after a dialogue? */
enum owner { OURS, THEIRS };

/* Layout and descriptors, and wait until the destination has built its VM. */
static int offer(struct runner *runner, int socket)
{
	struct gmem_slot slots[MACHINE_SLOTS];
	struct gmem_message message;
	ssize_t ret;

	ret = receive_kind(socket, GMEM_MESSAGE_REQUEST, STOPPED_TIMEOUT, NULL);
	if (ret < 0)
		return ret;
	machine_to_memory(runner->machine, &message, slots);
	ret = gmem_send(socket, &message, STOPPED_TIMEOUT);
	if (ret < 0)
		return ret;
	report("memory-sent", "bytes=%zd fds=%u", ret, message.nr_fds);
	ret = receive_kind(socket, GMEM_MESSAGE_LINKED, BUILD_TIMEOUT, NULL);
	return ret < 0 ? ret : 0;
}

/* Stop the guest, send its state, and wait for COMMIT. */
static int stop_and_send(struct runner *runner, int socket)
{
	struct gmem_vcpu_state vcpu;
	struct gmem_message message;
	ssize_t ret;

	runner_stop(runner);
	if (runner->ended)
		return -ENODATA;
	report("stopped", "left=%" PRIu64 " count=%" PRIu64, runner->left_ns,
	       machine_count(runner->machine));
	ret = machine_to_state(runner->machine, &message, &vcpu);
	if (ret)
		return ret;
	ret = gmem_send(socket, &message, STOPPED_TIMEOUT);
	gmem_vcpu_state_free(&vcpu);
	if (ret < 0)
		return ret;
	report("state-sent", "bytes=%zd", ret);
	ret = receive_kind(socket, GMEM_MESSAGE_COMMIT, STOPPED_TIMEOUT, NULL);
	return ret < 0 ? ret : 0;
}

/*
 * COMMIT has come: the guest is theirs, unless they died before they said that
 * they run it. Then nobody has run it since it stopped here.
 */
static enum owner give(int socket, const struct gmem_peer *peer)
{
	ssize_t ret = send_kind(socket, GMEM_MESSAGE_GIVEN);

	if (ret == -EPIPE)	/* nobody was there to read it */
		return OURS;
	report("given", "to=%d", (int)peer->pid);
	if (ret > 0)
		ret = receive_kind(socket, GMEM_MESSAGE_RUNNING,
				   STOPPED_TIMEOUT, NULL);
	if (ret > 0)
		return THEIRS;
	if (gmem_peer_wait_gone(peer, DYING_TIMEOUT))
		return THEIRS;
	/* It may have said so as its last word, behind what we read. */
	ret = receive_kind(socket, GMEM_MESSAGE_RUNNING, 0, NULL);
	return ret > 0 ? THEIRS : OURS;
}

static enum owner hand_over(struct runner *runner, int socket,
			    const struct gmem_peer *peer)
{
	const char *step = "offering the guest";
	int ret = offer(runner, socket);

	if (!ret) {
		step = "handing over the guest";
		ret = stop_and_send(runner, socket);
	}
	if (!ret) {
		enum owner owner = give(socket, peer);

		say(owner == THEIRS ? "process %d has the guest now" :
		    "process %d went away before it ran the guest",
		    (int)peer->pid);
		return owner;
	}
	if (ret != -ECANCELED)
		say_failed(ret, "%s to process %d", step, (int)peer->pid);
	send_abort(socket, ret, step);
	return OURS;
}

static enum owner serve_one(struct runner *runner, int listener)
{
	struct gmem_peer peer;
	enum owner owner = OURS;
	int socket = gmem_accept(listener);
	int ret;

	if (socket < 0) {
		say_failed(socket, "accepting a connection");
		return OURS;
	}
	ret = gmem_peer_open(socket, &peer, STOPPED_TIMEOUT);
	if (!ret)
		owner = hand_over(runner, socket, &peer);
	gmem_peer_close(&peer);
	close(socket);
	if (owner == OURS && !runner->going && !runner->ended) {
		say("the guest goes on here");
		ret = runner_go(runner);
	}
	if (ret)
		say_failed(ret, "serving a connection");
	return owner;
}

/* Stop the guest, keep it, and let it go on, whatever came of that. */
static int make_snapshot(struct runner *runner)
{
	struct machine *machine = runner->machine;
	uint64_t told;
	int ret;

	runner_stop(runner);
	if (read(runner->still_fd, &told, sizeof(told)) < 0 && errno != EAGAIN)
		return -errno;
	if (runner->ended)
		return 0;
	report("stopped", "left=%" PRIu64, runner->left_ns);
	ret = snapshot_save(machine, runner->snapshot);
	runner->unkept = ret;
	if (ret) {
		say_failed(ret, "%s, %s", machine->step, runner->snapshot);
	} else {
		say("the guest is kept in %s", runner->snapshot);
		report("snapshot", "left=%" PRIu64, runner->left_ns);
	}
	return runner_go(runner);
}

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

void source_block_signals(void)
{
	sigset_t set = awaited_signals();

	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Whoever reads what we print may go away: that is no end of a guest. */
	signal(SIGPIPE, SIG_IGN);
}

void source_block_snapshot_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int source_listen(const char *path, int *listener)
{
	*listener = path ? gmem_listen(path) : -1;
	if (!path || *listener >= 0)
		return 0;
	say_failed(*listener, "listening on %s", path);
	return *listener;
}

void source_unlisten(int listener, const char *path)
{
	if (listener < 0)
		return;
	unlink(path);
	close(listener);
}

/* Is it one that asks for a snapshot, and not for the end? */
static bool asks_for_snapshot(int signals)
{
	struct signalfd_siginfo signal;

	return read(signals, &signal, sizeof(signal)) == sizeof(signal) &&
	       signal.ssi_signo == SIGUSR2;
}

/* No success without the snapshot that was asked for last. */
static int end_with(const struct runner *runner, int status)
{
	return status == EXIT_DONE && runner->unkept ? EXIT_FAILED : status;
}

int source_serve(struct runner *runner, int listener, int signals)
{
	struct pollfd wait[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = runner->ended_fd, .events = POLLIN },
		{ .fd = listener, .events = POLLIN },
		{ .fd = runner->still_fd, .events = POLLIN },
	};

	for (;;) {
		bool snapshot;

		if (poll(wait, 4, -1) < 0 && errno != EINTR)
			return say_failed(-errno, "waiting");
		snapshot = wait[3].revents;
		if (wait[0].revents) {
			if (!asks_for_snapshot(signals))
				return end_with(runner, EXIT_DONE);
			snapshot = true;
		}
		if (snapshot) {
			int ret = make_snapshot(runner);

			if (ret)
				return say_failed(ret, "going on after a snapshot");
		}
		if (wait[1].revents)
			return end_with(runner, runner->status);
		if (wait[2].revents && serve_one(runner, listener) == THEIRS)
			return end_with(runner, EXIT_DONE);
	}
}

int source_signals(void)
{
	sigset_t set = awaited_signals();
	int signals;

	sigaddset(&set, SIGUSR2);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	return signals < 0 ? -errno : signals;
}

int source_run(struct runner *runner, int listener)
{
	int signals = source_signals();
	int ret, status;

	if (signals < 0)
		return say_failed(signals, "watching for signals");
	ret = runner_go(runner);
	status = ret ? say_failed(ret, "starting the vCPU's thread") :
		       source_serve(runner, listener, signals);
	close(signals);
	return status;
}
