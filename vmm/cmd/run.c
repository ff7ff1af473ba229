// SPDX-License-Identifier: MIT
/* gmem run: a guest on private memory, that others may take over. */
#include <linux/kvm_gmem.h>
#include <stdio.h>

#include "boot/counting.h"
#include "boot/linux.h"
#include "commands.h"
#include "common/say.h"
#include "common/status.h"
#include "guest/layout.h"
#include "handover/source.h"
#include "loop.h"
#include "options.h"
#include "pager/client.h"
#include "virtio/device.h"
#include "virtio/rng.h"

struct run_options {
	struct linux_guest linux_guest;
	long private;
	long rng;
	const char *socket;
	const char *pager;
	const char *snapshot;
	const char *snapshot_on;
	long megabytes;
	long report_fd;
};

static int run_guest(struct machine *machine, const struct run_options *options)
{
	struct vcpus vcpus;
	struct loop loop = { .vcpus = &vcpus, .snapshot = options->snapshot };
	int status;
	int ret = vcpus_init(&vcpus, machine);

	if (ret)
		return say_failed(ret, "preparing the vCPU's vcpus");
	machine->console.awaited = options->snapshot_on;
	if (source_listen(options->socket, &loop.listener)) {
		vcpus_close(&vcpus);
		return EXIT_FAILED;
	}
	report("started", "fd=%d", machine_view(machine));
	status = loop_run(&loop);
	source_unlisten(loop.listener, options->socket);
	vcpus_close(&vcpus);
	return status;
}

static int run_paged(struct machine *machine, const struct run_options *options)
{
	struct pager_client client;
	int status;

	if (!options->pager)
		return run_guest(machine, options);
	status = pager_client_start(&client, options->pager, machine_view(machine));
	if (status)
		return status;
	status = run_guest(machine, options);
	pager_client_stop(&client);
	return status;
}

/* Of options that are read: 0, or the status to exit with. */
static int check(const struct run_options *options)
{
	const struct linux_guest *linux_guest = &options->linux_guest;

	if (!linux_guest->kernel &&
	    (linux_guest->initrd || *linux_guest->command_line || options->private)) {
		fprintf(stderr, "gmem: --initrd, --append and --private are for a --kernel\n");
		return EXIT_USAGE;
	}
	if (options->pager && (linux_guest->kernel || options->socket)) {
		fprintf(stderr, "gmem: a guest with a --pager has no --kernel or --socket yet\n");
		return EXIT_USAGE;
	}
	if (options->snapshot && (!linux_guest->kernel || options->private)) {
		fprintf(stderr, "gmem: --snapshot is for a --kernel without --private\n");
		return EXIT_USAGE;
	}
	if (options->snapshot_on && !options->snapshot) {
		fprintf(stderr, "gmem: --snapshot-on is for a --snapshot\n");
		return EXIT_USAGE;
	}
	if (linux_guest->kernel && options->socket) {
		fprintf(stderr, "gmem: a guest with a --kernel cannot be handed over yet\n");
		return EXIT_USAGE;
	}
	if (((uint64_t)options->megabytes << 20) % GUEST_PRIVATE_UNIT) {
		fprintf(stderr, "gmem: --memory %ld: not an even number\n",
			options->megabytes);
		return EXIT_USAGE;
	}
	return 0;
}

/* A VM with a guest that is ready to run. */
static int boot(struct machine *machine, struct run_options *options)
{
	struct linux_guest *linux_guest = &options->linux_guest;
	uint64_t size = (uint64_t)options->megabytes << 20;
	int ret;

	ret = machine_create(machine, linux_guest->kernel && !options->private ?
			     KVM_X86_DEFAULT_VM : KVM_X86_SW_PROTECTED_VM);
	if (ret)
		return ret;
	if (!linux_guest->kernel)
		return machine_boot(machine, size, options->pager);
	linux_guest->memory = size;
	linux_guest->private = options->private;
	ret = linux_boot(machine, linux_guest);
	machine->step = "giving the guest its devices";
	if (!ret && options->rng)
		ret = rng_add(machine);
	return ret;
}

int cmd_run(int argc, char **argv)
{
	struct run_options options = {
		.linux_guest.command_line = "", .megabytes = 256, .report_fd = -1,
	};
	const struct option_row rows[] = {
		{ .name = "memory", .argument = "MIB", .number = &options.megabytes,
		  .least = GUEST_PRIVATE_UNIT >> 20, .most = GUEST_PRIVATE_MAX >> 20,
		  .help = "memory of the guest, in MiB, an even number (256)" },
		{ .name = "kernel", .argument = "FILE", .text = &options.linux_guest.kernel,
		  .help = "boot this Linux (a bzImage) in place of the guest that counts" },
		{ .name = "initrd", .argument = "FILE", .text = &options.linux_guest.initrd,
		  .help = "its first file system" },
		{ .name = "append", .argument = "TEXT",
		  .text = &options.linux_guest.command_line,
		  .help = "its command line; the console is ttyS0" },
		{ .name = "private", .number = &options.private,
		  .help = "all of its memory is private" },
		{ .name = "rng", .number = &options.rng,
		  .help = "a source of random bytes" },
		{ .name = "socket", .argument = "PATH", .text = &options.socket,
		  .help = "hand the guest over to who connects here" },
		{ .name = "pager", .argument = "PATH", .text = &options.pager,
		  .help = "private memory comes from the page server that listens here" },
		{ .name = "snapshot", .argument = "DIR", .text = &options.snapshot,
		  .help = "on SIGUSR2, keep the guest here for 'gmem restore'" },
		{ .name = "snapshot-on", .argument = "TEXT", .text = &options.snapshot_on,
		  .help = "... or when it has printed a line with this" },
		{ .name = "report", .argument = "FD", .number = &options.report_fd,
		  .least = 0, .most = 1 << 20,
		  .help = "write events for a program to this descriptor" },
		{ .name = NULL },
	};
	struct machine machine;
	int status, ret;

	status = options_read(argc, argv, rows,
			      "Start a guest: on private memory, one that fills it and counts; or Linux.");
	if (status)
		return status < 0 ? EXIT_DONE : status;
	status = check(&options);
	if (status)
		return status;
	report_to(options.report_fd);
	loop_block_signals();
	if (options.snapshot)
		loop_block_snapshot_signal();

	ret = boot(&machine, &options);
	status = ret ? say_failed(ret, "%s", machine.step) :
		       run_paged(&machine, &options);
	virtio_close_all(&machine);
	machine_close(&machine);
	return status;
}
