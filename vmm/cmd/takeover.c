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

static int prepare(void *data)
{
	return loop_open(data);
}

static int run_taken(struct destination *destination, struct loop *loop, bool check)
{
	if (check && machine_ask_check(&destination->machine))
		say("this guest has no mailbox: it cannot be asked to check");
	vcpus_release(&destination->vcpus);
	destination_leave(destination);
	return loop_serve(loop);
}

static int take_and_run(const struct takeover_options *options, int listener)
{
	struct destination destination = DESTINATION_NONE;
	struct loop loop = {
		.vcpus = &destination.vcpus, .listener = listener, .signals = -1,
	};
	int ret, status;

	destination.prepare = prepare;
	destination.data = &loop;
	ret = destination_take(&destination, options->socket, options->kill_source);
	if (ret) {
		status = say_failed(ret, "%s (%s)", destination.step, options->socket);
		say_todo(destination.todo);
	} else {
		status = run_taken(&destination, &loop, options->check);
	}
	loop_close(&loop);
	destination_close(&destination);
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
	loop_block_signals(false);
	if (source_listen(options.listen, &listener))
		return EXIT_FAILED;
	status = take_and_run(&options, listener);
	source_unlisten(listener, options.listen);
	return status;
}
