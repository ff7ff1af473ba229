// SPDX-License-Identifier: MIT
/* gmem restore: a guest goes on from a snapshot, in a VM of its own. */
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <stdio.h>

#include "cmd/devices.h"
#include "cmd/serve.h"
#include "commands.h"
#include "common/interrupt.h"
#include "common/say.h"
#include "common/status.h"
#include "confine.h"
#include "loop.h"
#include "options.h"
#include "pager/client.h"
#include "snapshot/snapshot.h"
#include "virtio/device.h"

/*
 * struct restore_options - the command's options
 * @path: of the snapshot
 * @keep: another snapshot, to be made while the guest runs
 * @keep_on: make it when the guest has printed this
 * @exposes: that snapshot may expose private memory
 */
struct restore_options {
	const char *path;
	const char *pager;
	const char *keep;
	const char *keep_on;
	struct devices devices;
	long exposes;
	long no_keeper;
	long crashes;
	long hang;
	long report_fd;
};

/* Errors that mean that the files are not a snapshot; others speak for themselves. */
static const struct {
	int error;
	const char *why;
} whys[] = {
	{ -ENODATA, "it is not complete: its VMM writes it still, or could not" },
	{ -EBADMSG, "it is damaged, or no snapshot" },
	{ -EPROTONOSUPPORT, "it was made by another version of gmem" },
	{ -ELOOP, "a file of it is a link: a snapshot has its files in its directory" },
	{ -EPROTO, "it is of no guest that gmem could have saved" },
};

static int say_no_snapshot(const struct snapshot *snapshot, const char *path, int error)
{
	size_t i;

	for (i = 0; i < sizeof(whys) / sizeof(whys[0]); i++) {
		if (whys[i].error != error)
			continue;
		fprintf(stderr, "gmem: %s, %s: %s\n", snapshot->step, path, whys[i].why);
		return EXIT_FAILED;
	}
	return say_failed(error, "%s, %s", snapshot->step, path);
}

/*
 * Populate memory all at once, or let a page server give it. Returns 0, or the status to exit with.
 */
static int fill(struct snapshot *snapshot, struct machine *machine,
		const char *pager, int helper, struct pager_client *client)
{
	int ret;

	if (pager)
		return pager_client_start(client, pager, helper, machine_view(machine));
	ret = snapshot_populate(snapshot, machine);
	return ret ? machine_say_failed(machine, ret) : 0;
}

/*
 * Restore memory and state. Setting the state may wait for ever, in the kernel, for pages that a
 * page server owes: meanwhile a signal ends the process. Returns 0, or the status to exit with.
 */
static int prepare(struct snapshot *snapshot, struct machine *machine,
		   const char *pager, int helper, struct pager_client *client)
{
	struct interrupt interrupt;
	int status;
	int ret = interrupt_begin(&interrupt);

	if (ret)
		return say_failed(ret, "watching for signals");
	status = fill(snapshot, machine, pager, helper, client);
	if (!status) {
		report("filled", "fd=%d", machine_view(machine));
		ret = snapshot_set_state(snapshot, machine);
		if (ret)
			status = machine_say_failed(machine, ret);
		if (ret && pager)
			pager_client_stop(client);
	}
	interrupt_end(&interrupt);
	return status;
}

static int restore(struct snapshot *snapshot, struct restore_options *options,
		   struct serving *serving)
{
	const char *pager = options->pager;
	struct pager_client client;
	struct machine machine;
	int status;
	int ret = snapshot_build(snapshot, &machine);

	if (!ret)
		ret = devices_add(&options->devices, &machine);
	status = ret ? machine_say_failed(&machine, ret) :
		       devices_connect(&options->devices, &machine, &serving->helper);
	if (!status)
		status = prepare(snapshot, &machine, pager, serving->helper.pager, &client);
	if (!status) {
		status = serve_guest(&machine, serving);
		if (pager)
			pager_client_stop(&client);
	}
	virtio_close_all(&machine, now_ns() + VIRTIO_CLOSE_WAIT);
	machine_close(&machine);
	return status;
}

/* Check the options. Returns 0, or the status to exit with. */
static int check(const struct restore_options *options)
{
	const char *wrong = NULL;

	if (options->keep_on && !options->keep)
		wrong = "--keep-on is for a --keep";
	else if (options->exposes && !options->keep)
		wrong = "--expose-private is for a --keep";
	else if (options->keep && options->pager)
		wrong = "a guest with a --pager cannot be kept yet";
	if (wrong)
		fprintf(stderr, "gmem: %s\n", wrong);
	return wrong ? EXIT_USAGE : 0;
}

/* Check the options against the type of the guest. Returns 0, or the status to exit with. */
static int check_type(const struct snapshot *snapshot, const struct restore_options *options)
{
	const char *wrong = NULL;

	if (snapshot->message.vm_type == KVM_X86_DEFAULT_VM)
		return 0;
	if (options->pager)
		wrong = "a guest whose memory is private has no --pager yet";
	else if (options->keep && !options->exposes)
		wrong = "--keep writes the memory of a private guest, for all who read it: say "
			"so by --expose-private";
	if (wrong)
		fprintf(stderr, "gmem: %s\n", wrong);
	return wrong ? EXIT_USAGE : 0;
}

/* Carry out the command, after the options were read. Returns the status to exit with. */
static int start(struct restore_options *options, const char *name)
{
	struct serving serving = {
		.keeps = !options->no_keeper, .crashes = options->crashes, .hang = options->hang,
		.snapshot = options->keep, .snapshot_on = options->keep_on,
		.exposes = options->exposes,
		/* Pages that have not come yet would be missing in the snapshot. */
		.no_snapshot = options->pager ? "its memory comes from a page server" : NULL,
	};
	struct snapshot snapshot;
	int status, ret;

	report_to(options->report_fd);
	ret = confine_descriptors(options->report_fd);
	if (ret)
		return say_failed(ret, "closing what it was started with");
	loop_block_signals(options->keep);
	status = serve_check(&serving);
	if (!status)
		status = serve_as(&serving, name);
	if (!status)
		status = serve_with_helper(&serving, &options->devices, options->pager);
	if (status)
		return status;
	ret = snapshot_open(&snapshot, options->path);
	status = ret ? say_no_snapshot(&snapshot, options->path, ret) :
		       check_type(&snapshot, options);
	if (!status)
		status = restore(&snapshot, options, &serving);
	snapshot_close(&snapshot);
	serve_end(&serving);
	return status;
}

int cmd_restore(int argc, char **argv)
{
	const char *first = NULL, *second = NULL, *name;
	struct restore_options options = { .report_fd = -1, .crashes = SERVE_CRASHES };
	const struct option_row rows[] = {
		{ .name = "DIR", .operand = true, .optional = true, .text = &first,
		  .help = "what 'gmem snapshot' has made" },
		{ .name = "NAME", .operand = true, .optional = true, .text = &second,
		  .help = "for 'gmem ps' and the commands that take a NAME" },
		{ .name = "snapshot", .argument = "DIR", .text = &options.path,
		  .help = "the same as the operand DIR" },
		RNG_ROW(&options.devices),
		DISK_ROW(&options.devices),
		NET_ROW(&options.devices),
		BALLOON_ROW(&options.devices),
		{ .name = "pager", .argument = "PATH", .text = &options.pager,
		  .help = "memory comes from the page server that listens here" },
		{ .name = "keep", .argument = "DIR", .text = &options.keep,
		  .help = "on SIGUSR2, keep the guest here, in another snapshot" },
		{ .name = "keep-on", .argument = "TEXT", .text = &options.keep_on,
		  .help = "... or when it has printed a line with this" },
		{ .name = "expose-private", .number = &options.exposes,
		  .help = "... of a private guest: write its memory, for all who read DIR" },
		NO_KEEPER_ROW(options.no_keeper),
		CRASHES_ROW(options.crashes),
		HANG_ROW(options.hang),
		{ .name = "report", .argument = "FD", .number = &options.report_fd,
		  .least = 0, .most = 1 << 20,
		  .help = "write events for a program to this descriptor" },
		{ .name = NULL },
	};
	int status;

	status = options_read(argc, argv, rows, "Have a guest go on from a snapshot.");
	if (status)
		return status < 0 ? EXIT_DONE : status;
	name = options.path ? first : second;
	if (options.path ? !!second : !first)
		return options_wrong(argv[0], options.path ? "'%s' is one argument too many" :
				     "needs DIR%s", options.path ? second : "");
	options.path = options.path ? options.path : first;
	status = check(&options);
	if (!status)
		status = devices_read(&options.devices, name);
	if (!status)
		status = start(&options, name);
	devices_free(&options.devices);
	return status;
}
