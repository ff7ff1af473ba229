// SPDX-License-Identifier: MIT
/*
 * gmem takeover: the destination's side of a handover. The VM is built while
 * the guest still runs under the source; it is run here only when the source
 * has said that it will not run it any more, or is gone.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "commands.h"
#include "dialogue.h"
#include "options.h"
#include "say.h"
#include "source.h"

struct takeover_options {
	const char *socket;
	const char *listen;
	long check;
	long kill_source;
	long report_fd;
};

/* struct takeover - where a takeover stands */
struct takeover {
	int socket;
	struct gmem_peer source;
	struct machine machine;
	struct runner runner;
	int signals;
	bool complete;		/* all that the guest is, is here, and can run */
	const char *step;	/* for the message if it failed */
};

static int connect_source(struct takeover *takeover, const char *path)
{
	int ret;

	takeover->step = "connecting to the source";
	takeover->socket = gmem_connect(path);
	if (takeover->socket < 0)
		return takeover->socket;
	takeover->step = "asking the source for the guest";
	ret = send_kind(takeover->socket, GMEM_MESSAGE_REQUEST);
	if (ret < 0)
		return ret;
	/* The process that answers has the guest, whichever one listened. */
	takeover->step = "receiving the guest's memory";
	ret = gmem_peer_open(takeover->socket, &takeover->source, STOPPED_TIMEOUT);
	if (!ret)
		report("connected", "to=%d", (int)takeover->source.pid);
	return ret;
}

/* MEMORY, LINKED: the guest runs under the source all the while. */
static int build_machine(struct takeover *takeover)
{
	struct gmem_message message;
	ssize_t ret;

	ret = receive_kind(takeover->socket, GMEM_MESSAGE_MEMORY,
			   STOPPED_TIMEOUT, &message);
	if (ret < 0)
		return ret;
	report("memory-received", "bytes=%zd", ret);
	ret = machine_from_memory(&takeover->machine, &message);
	takeover->step = takeover->machine.step;
	gmem_message_free(&message);
	if (ret < 0)
		return ret;
	takeover->step = "telling the source that the memory is linked";
	ret = send_kind(takeover->socket, GMEM_MESSAGE_LINKED);
	return ret < 0 ? ret : 0;
}

static int receive_state(struct takeover *takeover)
{
	struct gmem_message message;
	ssize_t ret;

	takeover->step = "receiving the vCPU's state";
	ret = receive_kind(takeover->socket, GMEM_MESSAGE_STATE,
			   STOPPED_TIMEOUT, &message);
	if (ret < 0)
		return ret;
	report("state-received", "bytes=%zd", ret);
	ret = machine_from_state(&takeover->machine, &message);
	takeover->step = takeover->machine.step;
	gmem_message_free(&message);
	if (ret)
		return ret;
	report("registers", "vcpus=1");
	return 0;
}

/* All that running the guest takes, and that may fail: before it is ours alone. */
static int make_ready(struct takeover *takeover)
{
	int ret;

	takeover->step = "watching for signals";
	takeover->signals = source_signals();
	if (takeover->signals < 0)
		return takeover->signals;
	takeover->step = "starting the vCPU's thread";
	ret = runner_init(&takeover->runner, &takeover->machine);
	if (!ret)
		ret = runner_park(&takeover->runner);
	takeover->complete = !ret;
	return ret;
}

/* COMMIT, GIVEN. */
static int become_owner(struct takeover *takeover)
{
	ssize_t ret;

	takeover->step = "committing";
	ret = send_kind(takeover->socket, GMEM_MESSAGE_COMMIT);
	if (ret > 0)
		ret = receive_kind(takeover->socket, GMEM_MESSAGE_GIVEN,
				   STOPPED_TIMEOUT, NULL);
	if (ret < 0)
		return ret;
	report("given", "by=%d", (int)takeover->source.pid);
	return 0;
}

/*
 * The source broke off. If its process is gone after it had stopped the guest
 * and sent all of it, nobody runs the guest, and it is whole here.
 */
static bool source_died(struct takeover *takeover)
{
	if (!takeover->complete ||
	    gmem_peer_wait_gone(&takeover->source, DYING_TIMEOUT))
		return false;
	say("process %d died when it had sent the guest: it goes on here",
	    (int)takeover->source.pid);
	return true;
}

static int kill_source(struct takeover *takeover)
{
	int ret;

	takeover->step = "killing the source";
	report("kill", "pid=%d", (int)takeover->source.pid);
	ret = gmem_peer_kill(&takeover->source);
	if (ret && ret != -ESRCH)
		return ret;
	ret = gmem_peer_wait_gone(&takeover->source, DYING_TIMEOUT);
	if (!ret)
		report("source-gone", "pid=%d", (int)takeover->source.pid);
	return ret;
}

static int take(struct takeover *takeover,
		const struct takeover_options *options)
{
	int ret = connect_source(takeover, options->socket);

	if (!ret)
		ret = build_machine(takeover);
	if (!ret)
		ret = receive_state(takeover);
	if (!ret)
		ret = make_ready(takeover);
	if (!ret)
		ret = become_owner(takeover);
	if (ret && ret != -ECANCELED && source_died(takeover))
		return 0;
	if (ret) {
		if (takeover->socket >= 0 && ret != -ECANCELED)
			send_abort(takeover->socket, ret, takeover->step);
		return ret;
	}
	if (options->kill_source)
		return kill_source(takeover);
	/* The last word: from here on the source will not take it back. */
	takeover->step = "telling the source that the guest runs here";
	ret = send_kind(takeover->socket, GMEM_MESSAGE_RUNNING);
	return ret < 0 && ret != -EPIPE ? ret : 0;
}

static void leave_source(struct takeover *takeover)
{
	if (takeover->socket >= 0)
		close(takeover->socket);
	gmem_peer_close(&takeover->source);
	takeover->socket = -1;
}

static int run_taken(struct takeover *takeover, int listener,
		     const struct takeover_options *options)
{
	if (options->check && machine_ask_check(&takeover->machine))
		say("this guest has no mailbox: it cannot be asked to check");
	runner_release(&takeover->runner);
	leave_source(takeover);
	return source_serve(&takeover->runner, listener, takeover->signals);
}

static int take_and_run(const struct takeover_options *options, int listener)
{
	struct takeover takeover = {
		.socket = -1, .source.pidfd = -1, .signals = -1,
		.runner = { .ended_fd = -1, .still_fd = -1 },
		.machine = { .kvm = -1, .vm = -1, .vcpu.fd = -1 },
	};
	int ret = take(&takeover, options);
	int status;

	status = ret ? say_failed(ret, "%s (%s)", takeover.step,
				  options->socket) :
		       run_taken(&takeover, listener, options);
	leave_source(&takeover);
	runner_close(&takeover.runner);
	if (takeover.signals >= 0)
		close(takeover.signals);
	machine_close(&takeover.machine);
	return status;
}

int cmd_takeover(int argc, char **argv)
{
	struct takeover_options options = { .report_fd = -1 };
	const struct option_row rows[] = {
		{ .name = "socket", .argument = "PATH", .text = &options.socket,
		  .help = "where the source listens" },
		{ .name = "listen", .argument = "PATH", .text = &options.listen,
		  .help = "hand the guest over, in turn, to who connects here" },
		{ .name = "check", .number = &options.check,
		  .help = "ask the guest to check its memory first of all" },
		{ .name = "kill-source", .number = &options.kill_source,
		  .help = "SIGKILL the source's process, and run the guest when it is gone" },
		{ .name = "report", .argument = "FD", .number = &options.report_fd,
		  .least = 0, .most = 1 << 20,
		  .help = "write events for a program to this descriptor" },
		{ .name = NULL },
	};
	int listener;
	int status = options_read(argc, argv, rows,
				  "Take a running guest over from another gmem process, its memory uncopied.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	if (!options.socket) {
		fprintf(stderr, "gmem: takeover needs --socket: where the source listens\n");
		return EXIT_USAGE;
	}
	report_to(options.report_fd);
	source_block_signals();
	if (source_listen(options.listen, &listener))
		return EXIT_FAILED;
	status = take_and_run(&options, listener);
	source_unlisten(listener, options.listen);
	return status;
}
