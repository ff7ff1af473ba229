// SPDX-License-Identifier: MIT
/* gmem takeover: take a running guest over from another gmem process. */
#include <stdio.h>
#include <unistd.h>

#include "boot/counting.h"
#include "commands.h"
#include "common/say.h"
#include "common/status.h"
#include "handover/destination.h"
#include "handover/source.h"
#include "loop.h"
#include "options.h"

struct takeover_options {
	const char *socket;
	const char *listen;
	long check;
	long kill_source;
	long report_fd;
};

static int run_taken(struct destination *destination, int listener, int signals,
		     const struct takeover_options *options)
{
	struct loop loop = {
		.vcpus = &destination->vcpus, .listener = listener, .signals = signals,
	};

	if (options->check && machine_ask_check(&destination->machine))
		say("this guest has no mailbox: it cannot be asked to check");
	vcpus_release(&destination->vcpus);
	destination_leave(destination);
	return loop_serve(&loop);
}

static int take_and_run(const struct takeover_options *options, int listener)
{
	struct destination destination = DESTINATION_NONE;
	int ret, status;
	/* First of all, since nothing may fail once the guest is ours alone. */
	int signals = loop_signals();

	if (signals < 0)
		return say_failed(signals, "watching for signals");
	ret = destination_take(&destination, options->socket, options->kill_source);
	status = ret ? say_failed(ret, "%s (%s)", destination.step, options->socket) :
		       run_taken(&destination, listener, signals, options);
	destination_close(&destination);
	close(signals);
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
	loop_block_signals();
	if (source_listen(options.listen, &listener))
		return EXIT_FAILED;
	status = take_and_run(&options, listener);
	source_unlisten(listener, options.listen);
	return status;
}
