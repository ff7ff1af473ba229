// SPDX-License-Identifier: MIT
/* gmem run: a guest on private memory, that others may take over. */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <stdio.h>
#include <string.h>

#include "boot/counting.h"
#include "boot/linux.h"
#include "cmd/devices.h"
#include "cmd/serve.h"
#include "commands.h"
#include "common/say.h"
#include "common/size.h"
#include "common/status.h"
#include "confine.h"
#include "guest/layout.h"
#include "loop.h"
#include "options.h"
#include "pager/client.h"
#include "virtio/device.h"

struct run_options {
	struct linux_guest linux_guest;
	long private;
	struct devices devices;
	const char *name;
	const char *pager;
	struct serving serving;
	const char *memory;
	uint64_t bytes;
	long cpus;
	const char *huge_pages;
	long no_keeper;
	long report_fd;
};

#define LINUX_LEAST	(64ULL << 20)
#define LINUX_MOST	(4ULL << 40)	/* a memslot has less than 8 TiB */
#define UNIT		GUEST_PRIVATE_UNIT

static int run_paged(struct machine *machine, struct run_options *options)
{
	struct pager_client client;
	int status;

	if (!options->pager)
		return serve_guest(machine, &options->serving);
	options->serving.no_snapshot = "its memory comes from a page server";
	status = pager_client_start(&client, options->pager,
				    options->serving.helper.pager, machine_view(machine));
	if (status)
		return status;
	status = serve_guest(machine, &options->serving);
	pager_client_stop(&client);
	return status;
}

/* Check the options. Returns 0, or the status to exit with. */
static int check(const struct run_options *options)
{
	const struct linux_guest *linux_guest = &options->linux_guest;

	if (!linux_guest->kernel &&
	    (linux_guest->initrd || *linux_guest->command_line || options->private)) {
		fprintf(stderr, "gmem: --initrd, --append and --private are for a --kernel\n");
		return EXIT_USAGE;
	}
	if (options->pager && (options->private || options->serving.socket ||
			       options->serving.snapshot)) {
		fprintf(stderr, "gmem: a guest with a --pager has no --private, --socket or "
			"--snapshot yet\n");
		return EXIT_USAGE;
	}
	if (options->serving.snapshot && !linux_guest->kernel) {
		fprintf(stderr, "gmem: --snapshot is for a --kernel\n");
		return EXIT_USAGE;
	}
	if (options->serving.snapshot && options->private && !options->serving.exposes) {
		fprintf(stderr, "gmem: --snapshot writes the memory of a --private guest, for all "
			"who read it: say so by --expose-private\n");
		return EXIT_USAGE;
	}
	if (options->serving.exposes && (!options->serving.snapshot || !options->private)) {
		fprintf(stderr, "gmem: --expose-private is for a --snapshot with --private\n");
		return EXIT_USAGE;
	}
	if (devices_any(&options->devices) && !linux_guest->kernel) {
		fprintf(stderr, "gmem: --rng, --disk, --net and --balloon are for a --kernel\n");
		return EXIT_USAGE;
	}
	if (options->serving.snapshot_on && !options->serving.snapshot) {
		fprintf(stderr, "gmem: --snapshot-on is for a --snapshot\n");
		return EXIT_USAGE;
	}
	if (linux_guest->kernel && options->serving.socket) {
		fprintf(stderr, "gmem: a guest with a --kernel cannot be handed over yet\n");
		return EXIT_USAGE;
	}
	if (options->huge_pages && !machine_huge_flag(options->huge_pages)) {
		fprintf(stderr, "gmem: --huge-pages %s: never, fits or always\n",
			options->huge_pages);
		return EXIT_USAGE;
	}
	if (!linux_guest->kernel && options->huge_pages) {
		fprintf(stderr, "gmem: --huge-pages is for a --kernel\n");
		return EXIT_USAGE;
	}
	if (!linux_guest->kernel && options->cpus != 1) {
		fprintf(stderr, "gmem: --cpus is for a --kernel\n");
		return EXIT_USAGE;
	}
	return 0;
}

/* A number without a unit is in MiB. 0, or the status to exit with. */
static int read_memory(struct run_options *options)
{
	const char *text = options->memory;
	bool is_linux = options->linux_guest.kernel;
	uint64_t least = is_linux ? LINUX_LEAST : UNIT;
	uint64_t most = is_linux ? LINUX_MOST : GUEST_PRIVATE_MAX;
	int ret = size_read(text, &options->bytes);

	if (!ret && !text[strspn(text, "0123456789")]) {
		if (options->bytes > UINT64_MAX >> 20)
			ret = -ERANGE;
		options->bytes <<= 20;
	}
	if (ret == -EINVAL) {
		fprintf(stderr, "gmem: --memory %s: not a size, as 512M or 2G\n", text);
		return EXIT_USAGE;
	}
	if (ret || options->bytes < least || options->bytes > most) {
		fprintf(stderr, "gmem: --memory %s: %s has %" PRIu64 " MiB to %" PRIu64 " MiB\n",
			text, is_linux ? "a Linux guest" : "the guest that counts",
			least >> 20, most >> 20);
		return EXIT_USAGE;
	}
	if (options->bytes % UNIT) {
		fprintf(stderr, "gmem: --memory %s: not a multiple of %llu MiB\n", text,
			(unsigned long long)UNIT >> 20);
		return EXIT_USAGE;
	}
	return 0;
}

/* Make a VM with a guest that is ready to run. */
static int boot(struct machine *machine, struct run_options *options)
{
	struct linux_guest *linux_guest = &options->linux_guest;
	int ret;

	ret = machine_create(machine, linux_guest->kernel && !options->private ?
			     KVM_X86_DEFAULT_VM : KVM_X86_SW_PROTECTED_VM);
	if (ret)
		return ret;
	if (!linux_guest->kernel)
		return machine_boot(machine, options->bytes, options->pager);
	if (options->huge_pages)
		machine->huge = machine_huge_flag(options->huge_pages);
	linux_guest->memory = options->bytes;
	linux_guest->cpus = options->cpus;
	ret = linux_boot(machine, linux_guest);
	return ret ? ret : devices_add(&options->devices, machine);
}

/* Carry out the command, after the options were read. Returns the status to exit with. */
static int start(struct run_options *options)
{
	struct machine machine;
	int status, ret;

	report_to(options->report_fd);
	ret = confine_descriptors(options->report_fd);
	if (ret)
		return say_failed(ret, "closing what it was started with");
	loop_block_signals(options->serving.snapshot);
	status = serve_check(&options->serving);
	if (!status)
		status = serve_as(&options->serving, options->name);
	if (!status)
		status = serve_with_helper(&options->serving, &options->devices,
					   options->pager);
	if (status)
		return status;
	ret = boot(&machine, options);
	status = ret ? machine_say_failed(&machine, ret) :
		       devices_connect(&options->devices, &machine,
				       &options->serving.helper);
	if (!status)
		status = run_paged(&machine, options);
	virtio_close_all(&machine, now_ns() + VIRTIO_CLOSE_WAIT);
	machine_close(&machine);
	serve_end(&options->serving);
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run_options options = {
		.linux_guest.command_line = "", .memory = "256M", .cpus = 1,
		.report_fd = -1, .serving.crashes = SERVE_CRASHES,
	};
	const struct option_row rows[] = {
		{ .name = "NAME", .operand = true, .optional = true, .text = &options.name,
		  .help = "for 'gmem ps' and the commands that take a NAME" },
		{ .name = "memory", .argument = "SIZE", .text = &options.memory,
		  .help = "memory of the guest, as 512M or 2G; in MiB without a unit (256M)" },
		{ .name = "cpus", .argument = "N", .number = &options.cpus,
		  .least = 1, .most = MACHINE_VCPUS, .help = "virtual CPUs (1)" },
		{ .name = "huge-pages", .argument = "WHEN", .text = &options.huge_pages,
		  .help = "memory comes 2 MiB at a time: never, where it fits, or always" },
		{ .name = "kernel", .argument = "FILE", .text = &options.linux_guest.kernel,
		  .help = "boot this Linux, a bzImage or ELF with PVH, not the guest that counts" },
		{ .name = "initrd", .argument = "FILE", .text = &options.linux_guest.initrd,
		  .help = "its first file system" },
		{ .name = "append", .argument = "TEXT",
		  .text = &options.linux_guest.command_line,
		  .help = "its command line; the console is ttyS0" },
		{ .name = "private", .number = &options.private,
		  .help = "all of its memory is private" },
		RNG_ROW(&options.devices),
		DISK_ROW(&options.devices),
		NET_ROW(&options.devices),
		BALLOON_ROW(&options.devices),
		{ .name = "socket", .argument = "PATH", .text = &options.serving.socket,
		  .help = "hand the guest over to who connects here" },
		{ .name = "pager", .argument = "PATH", .text = &options.pager,
		  .help = "what is missing of its memory comes from the page server here" },
		{ .name = "snapshot", .argument = "DIR", .text = &options.serving.snapshot,
		  .help = "on SIGUSR2, keep the guest here for 'gmem restore'" },
		{ .name = "snapshot-on", .argument = "TEXT", .text = &options.serving.snapshot_on,
		  .help = "... or when it has printed a line with this" },
		{ .name = "expose-private", .number = &options.serving.exposes,
		  .help = "... of a private guest: write its memory, for all who read DIR" },
		NO_KEEPER_ROW(options.no_keeper),
		CRASHES_ROW(options.serving.crashes),
		HANG_ROW(options.serving.hang),
		{ .name = "report", .argument = "FD", .number = &options.report_fd,
		  .least = 0, .most = 1 << 20,
		  .help = "write events for a program to this descriptor" },
		{ .name = NULL },
	};
	int status;

	status = options_read(argc, argv, rows,
			      "Start a guest: on private memory, one that fills it and counts; or Linux.");
	if (status)
		return status < 0 ? EXIT_DONE : status;
	status = check(&options);
	if (!status)
		status = read_memory(&options);
	if (!status)
		status = devices_read(&options.devices, options.name);
	options.serving.keeps = !options.no_keeper;
	if (!status)
		status = start(&options);
	devices_free(&options.devices);
	return status;
}
