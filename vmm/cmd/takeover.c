// SPDX-License-Identifier: MIT
/* gmem takeover: take a running guest over from another gmem process. */
#include <stdio.h>

#include "boot/counting.h"
#include "commands.h"
#include "common/say.h"
#include "common/status.h"
#include "confine.h"
#include "handover/destination.h"
#include "handover/source.h"
#include "helper/helper.h"
#include "loop.h"
#include "options.h"

struct takeover_options {
	const char *socket;
	const char *listen;
	long check;
	long kill_source;
	long report_fd;
};

/* struct taking - a takeover, and its resources */
struct taking {
	struct destination destination;
	struct loop loop;
	struct helper *helper;
};

/*
 * The last step that can fail before the guest is ours: if it does, the source still has the guest.
 * By then all of the guest's state is here, and it has not run.
 */
static int prepare(void *data)
{
	struct taking *taking = data;
	int ret = loop_open(&taking->loop);

	return ret ? ret : confine_vmm(&taking->destination.step);
}

static int kill_source(void *data, int pidfd)
{
	return helper_kill(((struct taking *)data)->helper, pidfd);
}

static int run_taken(struct taking *taking, const struct takeover_options *options)
{
	struct destination *destination = &taking->destination;

	/*
	 * Use up the right to kill the source before the guest runs: the source may have died by
	 * itself.
	 */
	if (options->kill_source)
		helper_kill(taking->helper, -1);
	if (options->check && machine_ask_check(&destination->machine))
		say("this guest has no mailbox: it cannot be asked to check");
	vcpus_release(&destination->vcpus);
	destination_leave(destination);
	return loop_serve(&taking->loop);
}

static int take_and_run(const struct takeover_options *options, int listener,
			struct helper *helper)
{
	struct taking taking = {
		.destination = DESTINATION_NONE, .helper = helper,
		.loop = {
			.vcpus = &taking.destination.vcpus, .listener = listener,
			.signals = -1, .helper = helper,
		},
	};
	struct destination *destination = &taking.destination;
	int ret, status;

	destination->prepare = prepare;
	destination->kill = options->kill_source ? kill_source : NULL;
	destination->data = &taking;
	ret = destination_take(destination, options->socket);
	if (ret) {
		status = say_failed(ret, "%s (%s)", destination->step, options->socket);
		say_todo(destination->todo);
	} else {
		status = run_taken(&taking, options);
	}
	loop_close(&taking.loop);
	destination_close(destination);
	return status;
}

static int take_with_helper(const struct takeover_options *options, struct helper *helper)
{
	int listener, ret, status;

	if (source_listen(options->listen, &listener))
		return EXIT_FAILED;
	ret = listener < 0 ? 0 : helper_listens(helper);
	status = ret ? say_failed(ret, "watching the socket") :
		       take_and_run(options, listener, helper);
	if (listener >= 0)
		helper_unlisten(helper);
	source_unlisten(listener, NULL);
	return status;
}

static int start(const struct takeover_options *options)
{
	const struct helper_plan plan = {
		.listener = options->listen, .kills = options->kill_source,
	};
	struct helper helper;
	int status, ret;

	report_to(options->report_fd);
	ret = confine_descriptors(options->report_fd);
	if (ret)
		return say_failed(ret, "closing what it was started with");
	loop_block_signals(false);
	ret = helper_start(&helper, &plan);
	if (ret)
		return say_failed(ret, "starting the helper");
	status = take_with_helper(options, &helper);
	helper_stop(&helper);
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
	int status = options_read(argc, argv, rows,
				  "Take a running guest over from another gmem process, its memory uncopied.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	if (!options.socket) {
		fprintf(stderr, "gmem: takeover needs --socket: where the source listens\n");
		return EXIT_USAGE;
	}
	return start(&options);
}
