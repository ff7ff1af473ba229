// SPDX-License-Identifier: MIT
/* gmem run: a guest on private memory, that others may take over. */
#include <linux/kvm_gmem.h>
#include <stdio.h>

#include "commands.h"
#include "guest/layout.h"
#include "options.h"
#include "say.h"
#include "source.h"

struct run_options {
	const char *socket;
	long megabytes;
	long report_fd;
};

static int run_guest(struct machine *machine, const struct run_options *options)
{
	struct runner runner;
	int listener, status;
	int ret = runner_init(&runner, machine);

	if (ret)
		return say_failed(ret, "preparing the vCPU's thread");
	if (source_listen(options->socket, &listener)) {
		runner_close(&runner);
		return EXIT_FAILED;
	}
	report("started", "fd=%d", machine_view(machine));
	ret = runner_go(&runner);
	status = ret ? say_failed(ret, "starting the vCPU's thread") :
		       source_serve(&runner, listener);
	source_unlisten(listener, options->socket);
	runner_close(&runner);
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run_options options = { .megabytes = 256, .report_fd = -1 };
	const struct option_row rows[] = {
		{ .name = "memory", .argument = "MIB", .number = &options.megabytes,
		  .least = GUEST_PRIVATE_UNIT >> 20, .most = GUEST_PRIVATE_MAX >> 20,
		  .help = "private memory of the guest, in MiB, an even number (256)" },
		{ .name = "socket", .argument = "PATH", .text = &options.socket,
		  .help = "hand the guest over to who connects here" },
		{ .name = "report", .argument = "FD", .number = &options.report_fd,
		  .least = 0, .most = 1 << 20,
		  .help = "write events for a program to this descriptor" },
		{ .name = NULL },
	};
	uint64_t size;
	struct machine machine;
	int status, ret;

	status = options_read(argc, argv, rows,
			      "Start a guest on private memory. It fills the memory, then counts.");
	if (status)
		return status < 0 ? EXIT_DONE : status;
	size = (uint64_t)options.megabytes << 20;
	if (size % GUEST_PRIVATE_UNIT) {
		fprintf(stderr, "gmem: --memory %ld: not an even number\n",
			options.megabytes);
		return EXIT_USAGE;
	}
	report_to(options.report_fd);
	source_block_signals();

	ret = machine_create(&machine, KVM_X86_SW_PROTECTED_VM);
	if (!ret)
		ret = machine_boot(&machine, size);
	status = ret ? say_failed(ret, "%s", machine.step) :
		       run_guest(&machine, &options);
	machine_close(&machine);
	return status;
}
