// SPDX-License-Identifier: MIT
/*
 * gmem incoming: 'gmem upgrade' starts it, and the helper does when a VMM has died. It builds a VM
 * beside the one that has the guest, gives up its rights, and takes the guest over. Until then it
 * owns nothing of the guest: however it ends, the guest goes on where it is, or the helper starts
 * the next one.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/devices.h"
#include "cmd/serve.h"
#include "commands.h"
#include "common/descriptors.h"
#include "common/say.h"
#include "common/service.h"
#include "common/status.h"
#include "confine.h"
#include "live/publish.h"
#include "loop.h"
#include "machine/sections.h"
#include "net/port.h"
#include "options.h"
#include "upgrade/config.h"
#include "upgrade/recover.h"
#include "upgrade/state.h"
#include "virtio/device.h"
#include "virtio/fence.h"
#include "virtio/net.h"

#define SECOND		1000000000ULL
#define PATIENCE	(120 * SECOND)	/* the source's own is shorter */
#define ENTER_WAIT	SECOND

/*
 * struct incoming - a guest that is taken over
 * @step: what was tried last, for messages on both sides
 * @live: the live page of a VMM that died; its header is NULL if none has died
 * @devices: where the devices' sections begin, in @size @bytes
 */
struct incoming {
	struct gmem_handover *handover;
	struct upgrade_config config;
	struct machine machine;
	struct serving serving;
	struct upgrade_run run;
	struct live live;
	void *bytes;
	size_t size;
	size_t devices;
	char step[GMEM_HANDOVER_REASON];
};

__attribute__((format(printf, 3, 4)))
static int fail(struct incoming *incoming, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(incoming->step, sizeof(incoming->step), format, args);
	va_end(args);
	return error;
}

static int fail_machine(struct incoming *incoming, int error)
{
	const struct machine *machine = &incoming->machine;

	return *machine->why ? fail(incoming, error, "%s: %s", machine->step, machine->why) :
			       fail(incoming, error, "%s", machine->step);
}

/* Report what the other side said, or that it said nothing. */
static int fail_handover(struct incoming *incoming, int error)
{
	return fail(incoming, error, "%s", gmem_handover_reason(incoming->handover));
}

/* ---- OFFER ---- */

static int take(struct incoming *incoming, const char *name)
{
	return gmem_handover_take(incoming->handover, name);
}

static int take_nth(struct incoming *incoming, const char *name, unsigned int number)
{
	char numbered[16];

	snprintf(numbered, sizeof(numbered), "%.10s%u", name, number % 100);
	return take(incoming, numbered);
}

static int read_config(struct incoming *incoming)
{
	int fd = take(incoming, "config");
	int ret = upgrade_config_read(&incoming->config, fd);

	if (fd >= 0)
		close(fd);
	if (ret)
		return fail(incoming, ret, "what the guest was started with: %s",
			    incoming->config.why);
	if (incoming->config.nr_cpuids != gmem_handover_offered(incoming->handover)->nr_vcpus)
		return fail(incoming, -EPROTO, "each vCPU has a CPUID");
	return 0;
}

/* A terminal belongs to another session: we must not read its keys or set its mode. */
static void take_standard(struct incoming *incoming)
{
	int in = take(incoming, "stdin"), out = take(incoming, "stdout");

	if (in >= 0 && !isatty(in))
		dup2(in, STDIN_FILENO);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	in = take(incoming, "report");
	if (in >= 0)
		report_to(in);
}

static int take_name(struct incoming *incoming)
{
	struct vm_claim *claim = &incoming->serving.claim;

	claim->base = take(incoming, "name.base");
	claim->dir = take(incoming, "name.dir");
	claim->lock = take(incoming, "name.lock");
	strcpy(claim->name, incoming->config.name);
	incoming->serving.control = take(incoming, "control");
	return claim->base < 0 || claim->dir < 0 || claim->lock < 0 ||
	       incoming->serving.control <= 0 ?
	       fail(incoming, -EPROTO, "the VM's name has not come") : 0;
}

static int take_helper(struct incoming *incoming)
{
	struct helper *helper = &incoming->serving.helper;
	const struct nets *nets = &incoming->config.devices.nets;
	unsigned int i;

	helper->files = take(incoming, "helper.files");
	helper->pager = take(incoming, "helper.pager");
	helper->upgrade = take(incoming, "helper.upgrade");
	for (i = 0; i < nets->nr; i++)
		if (!*nets->all[i].tap)
			helper->nets[helper->nr_nets++] = take_nth(incoming, "passt", i);
	return helper->files < 0 || helper->pager < 0 || helper->upgrade < 0 ||
	       helper->nr_nets != incoming->config.nr_nets ?
	       fail(incoming, -EPROTO, "the VM's helper has not come") : 0;
}

static int take_devices(struct incoming *incoming)
{
	struct devices *devices = &incoming->config.devices;
	unsigned int i;

	for (i = 0; i < devices->disks.nr; i++) {
		devices->disks.all[i].disk.fd = take_nth(incoming, "disk", i);
		if (devices->disks.all[i].disk.fd < 0)
			return fail(incoming, -EPROTO, "disk %u has not come", i);
	}
	for (i = 0; i < devices->nets.nr; i++) {
		struct net_options *net = &devices->nets.all[i];

		if (!*net->tap)
			continue;
		net->fd = take_nth(incoming, "tap", i);
		if (net->fd < 0)
			return fail(incoming, -EPROTO, "network card %u has not come", i);
	}
	return 0;
}

static bool recovers(const struct incoming *incoming)
{
	return incoming->live.header;
}

/* A VMM that died has left this file, and nothing else about its devices. */
static int take_live(struct incoming *incoming)
{
	int fd = take(incoming, "live"), ret;

	if (fd < 0)
		return 0;
	ret = recover_open(&incoming->live, fd);
	close(fd);
	return ret ? fail(incoming, ret, "reading the live page of the VMM that died") : 0;
}

static int get_offer(struct incoming *incoming)
{
	int ret;

	gmem_handover_deadline(incoming->handover, now_ns() + PATIENCE);
	ret = gmem_handover_wait(incoming->handover);
	if (ret < 0)
		return fail_handover(incoming, ret);
	ret = read_config(incoming);
	if (ret)
		return ret;
	take_standard(incoming);
	ret = take_name(incoming);
	if (!ret)
		ret = take_helper(incoming);
	if (!ret)
		ret = take_devices(incoming);
	return ret ? ret : take_live(incoming);
}

/* ---- The VM ---- */

static int set_cpuids(struct incoming *incoming)
{
	struct machine *machine = &incoming->machine;
	unsigned int i;
	int ret = 0;

	machine->step = "setting the vCPUs' CPUID";
	for (i = 0; !ret && i < machine->nr_vcpus; i++)
		ret = gmem_vcpu_set_cpuid(&machine->vcpus[i], incoming->config.cpuids[i]);
	return ret;
}

/* Until these pipes hang up, disk requests of that VMM may be under way. */
static int take_fences(struct incoming *incoming)
{
	unsigned int i;
	int ret = 0, fd;

	for (i = 0; !ret && i < MACHINE_FENCES; i++) {
		fd = take_nth(incoming, "life", i);
		if (fd < 0)
			break;
		ret = virtio_add_fence(&incoming->machine, fd);
	}
	/* Without a pipe, nothing would make us wait for them. */
	if (!ret && recovers(incoming) && !i)
		ret = -EPROTO;
	return ret ? fail(incoming, ret, "waiting for the disks of the VMM that died") : 0;
}

/* passt goes on without its VMM: its next connection is ours. */
static int connect_again(struct incoming *incoming)
{
	struct machine *machine = &incoming->machine;
	const struct nets *nets = &incoming->config.devices.nets;
	unsigned int i, first = machine->nr_virtio - nets->nr;
	int ret = 0;

	for (i = 0; !ret && recovers(incoming) && i < nets->nr; i++)
		if (!*nets->all[i].tap)
			ret = passt_connect_again(net_port_of(machine->virtio[first + i]));
	return ret ? fail(incoming, ret, "connecting to passt again") : 0;
}

static int build(struct incoming *incoming)
{
	const struct gmem_offer *offer = gmem_handover_offered(incoming->handover);
	struct machine *machine = &incoming->machine;
	int ret = machine_create(machine, offer->vm_type);

	if (!ret)
		ret = machine_add_pc(machine);
	if (!ret)
		ret = machine_link(machine, offer->view, offer->slots, offer->nr_slots);
	if (!ret)
		ret = machine_add_vcpus(machine, offer->nr_vcpus);
	if (!ret)
		ret = set_cpuids(incoming);
	if (!ret)
		ret = devices_add(&incoming->config.devices, machine);
	if (ret)
		return fail_machine(incoming, ret);
	/* Errors of the network were printed already. */
	if (devices_connect(&incoming->config.devices, machine, &incoming->serving.helper))
		return fail(incoming, -EIO, "giving the guest its network");
	machine->recovers = recovers(incoming);
	ret = take_fences(incoming);
	return ret ? ret : connect_again(incoming);
}

/* ---- PAUSED ---- */

static int take_connections(struct incoming *incoming)
{
	struct machine *machine = &incoming->machine;
	const struct nets *nets = &incoming->config.devices.nets;
	unsigned int i, first = machine->nr_virtio - nets->nr;
	int ret = 0;

	for (i = 0; !ret && i < nets->nr; i++) {
		struct net_port *port = net_port_of(machine->virtio[first + i]);

		if (*nets->all[i].tap || !incoming->run.passt[i].up)
			continue;
		ret = passt_resume(port, take_nth(incoming, "frames", i),
				   incoming->run.passt[i].number);
		port->card->link(port->card);
	}
	return ret ? fail(incoming, ret, "going on with passt's connection") : 0;
}

static int load_devices(struct incoming *incoming)
{
	int ret = sections_load(machine_sections, &incoming->machine,
				(char *)incoming->bytes + incoming->devices,
				incoming->size - incoming->devices);

	incoming->machine.step = "reading the devices' state";
	incoming->machine.console.fired = incoming->run.fired;
	/* A dead VMM may have shown a part of a line without recording that: it is shown again. */
	if (recovers(incoming) && incoming->run.shown > incoming->machine.console.now.used)
		incoming->run.shown = 0;
	if (!ret)
		ret = console_go_on(&incoming->machine.console, incoming->run.shown);
	return ret ? fail_machine(incoming, ret) : 0;
}

/*
 * Restore the devices once before the move, where it may fail: with the same bytes it does not fail
 * after the move. Interrupts that this has raised do not matter, since the move replaces the
 * interrupt controllers.
 */
static int rehearse(struct incoming *incoming)
{
	int ret;

	if (recovers(incoming)) {
		ret = recover_read(&incoming->live, &incoming->run, &incoming->bytes,
				   &incoming->size);
		if (!ret)
			ret = recover_tables(&incoming->live, &incoming->machine);
		if (ret)
			return fail(incoming, ret, "reading the live page of the VMM that died");
		return load_devices(incoming);
	}
	ret = gmem_page_load(gmem_handover_page(incoming->handover), &incoming->bytes,
			     &incoming->size);
	if (ret)
		return fail(incoming, ret, "reading the state page");
	ret = upgrade_state_read(&incoming->machine, incoming->bytes, incoming->size,
				 &incoming->run, &incoming->devices);
	if (ret)
		return fail_machine(incoming, ret);
	ret = take_connections(incoming);
	return ret ? ret : load_devices(incoming);
}

static int move(struct incoming *incoming)
{
	int ret = gmem_handover_begin_move(incoming->handover);

	if (ret)
		return fail_handover(incoming, ret);
	do {
		ret = gmem_vm_move(incoming->machine.vm,
				   gmem_handover_offered(incoming->handover)->vm, 0);
	} while (ret == -EINTR);
	gmem_handover_moved(incoming->handover, ret);
	return ret ? fail(incoming, ret, "moving the VM") : 0;
}

/* The source may have raised an interrupt that KVM had not seen: one too many does no harm. */
static void raise_all(struct machine *machine)
{
	unsigned int i;
	uint16_t queue;

	for (i = 0; i < machine->nr_virtio; i++) {
		struct virtio_device *device = machine->virtio[i];

		for (queue = 0; queue < device->nr_queues; queue++)
			if (device->now.queues[queue].enabled)
				msix_signal(&device->msix, device->now.queues[queue].vector);
		/* A notification of a dead process about its configuration may have been lost. */
		if (machine->recovers)
			msix_signal(&device->msix, device->now.config_vector);
	}
}

/* ---- The guest is here ---- */

static void take_console(struct incoming *incoming, struct loop *loop)
{
	int client = take(incoming, "console");

	if (client >= 0 && terminal_attach(&loop->terminal, client))
		close(client);
	terminal_read_stdin(&loop->terminal);
	if (recovers(incoming))	/* typed input is there already */
		loop->terminal.came(loop->terminal.data);
}

/*
 * From this call on, the live page of this process has all of the guest's state, and the next
 * process goes on from there. So everything that it needs must be there by now, and nothing may
 * have been done yet.
 */
static void begin_to_publish(struct incoming *incoming, struct loop *loop)
{
	struct machine *machine = &incoming->machine;
	unsigned int i;

	if (recovers(incoming))
		recover_console(&incoming->live, loop);
	else
		terminal_type(&loop->terminal, incoming->run.typed, incoming->run.nr_typed);
	/*
	 * Do this also for the next process: its page does not know of exits that were answered
	 * before.
	 */
	for (i = 0; recovers(incoming) && i < machine->nr_vcpus; i++)
		if (recover_was_answered(&incoming->live, i))
			machine->vcpus[i].run->exit_reason = KVM_EXIT_INTR;
	publish_paused(machine, incoming->run.paused);
	publish_begin(machine);
	for (i = 0; recovers(incoming) && i < machine->nr_vcpus; i++)
		if (!recover_was_answered(&incoming->live, i))
			vcpus_answer(loop->vcpus, i);
}

static uint64_t start(struct incoming *incoming, struct vcpus *vcpus)
{
	uint64_t until = now_ns() + ENTER_WAIT, entered = 0;

	if (incoming->run.paused) {
		vcpus_stop(vcpus);
		vcpus->paused = true;
		return now_ns();
	}
	vcpus_release(vcpus);
	while (!entered && now_ns() < until) {
		entered = __atomic_load_n(&vcpus->entered_ns, __ATOMIC_RELAXED);
		if (!entered)
			usleep(20);
	}
	return entered ? entered : now_ns();
}

static int take_guest(struct incoming *incoming, struct loop *loop)
{
	int ret = vcpus_park(loop->vcpus);

	if (ret)
		return fail(incoming, ret, "starting the vCPUs' threads");
	ret = gmem_handover_link(incoming->handover, incoming->machine.vm,
				 machine_view(&incoming->machine));
	if (!ret)
		ret = gmem_handover_wait(incoming->handover);
	if (ret < 0)
		return fail_handover(incoming, ret);
	ret = rehearse(incoming);
	return ret ? ret : move(incoming);
}

static void say_recovered(const struct incoming *incoming, uint64_t entered)
{
	uint64_t seen, none;

	gmem_handover_times(incoming->handover, &seen, &none);
	say("its VMM has died: the guest goes on in process %d, %.1f ms after that was seen",
	    (int)getpid(), (entered - seen) / 1e6);
}

/*
 * The blackout of a running guest: since it ran last there, or since its VMM was seen to have died.
 */
static uint64_t stood_still(const struct incoming *incoming, uint64_t entered)
{
	uint64_t last, none;

	gmem_handover_times(incoming->handover, &last, &none);
	return incoming->run.paused || entered < last ? 0 : entered - last;
}

/* Runs with the rights of a VMM that serves its guest. Returns the exit status. */
static int arrive(struct serving *serving, struct loop *loop)
{
	struct incoming *incoming = serving->data;
	uint64_t entered;
	int ret;

	loop->vcpus->moved = true;
	ret = take_guest(incoming, loop);

	if (ret)
		return EXIT_FAILED;
	serving->elsewhere = false;
	ret = load_devices(incoming);
	raise_all(&incoming->machine);
	if (!ret) {
		begin_to_publish(incoming, loop);
		/*
		 * Carry out requests from registers before the guest writes to the next register.
		 */
		if (recovers(incoming))
			virtio_attend_all(&incoming->machine);
	}
	entered = ret ? 0 : start(incoming, loop->vcpus);
	/*
	 * Keep this order: a client that hears that the guest runs here must find it by its name.
	 */
	helper_upgraded(&serving->helper);
	service_ready(serving->manager);
	gmem_handover_running(incoming->handover, entered);
	loop->blackout = ret ? 0 : stood_still(incoming, entered);
	if (!ret && recovers(incoming))
		say_recovered(incoming, entered);
	if (!ret)
		take_console(incoming, loop);
	gmem_handover_close(incoming->handover);
	incoming->handover = NULL;
	return ret ? say_failed(ret, "%s: the guest has ended", incoming->step) :
		     loop_serve(loop);
}

/* ---- All of it ---- */

static int serve(struct incoming *incoming)
{
	struct serving *serving = &incoming->serving;
	int status = EXIT_FAILED;
	int ret = get_offer(incoming);

	loop_block_signals(incoming->config.snapshot);
	serving->snapshot = incoming->config.snapshot;
	serving->snapshot_on = incoming->config.snapshot_on;
	serving->exposes = incoming->config.exposes;
	serving->keeps = incoming->config.keeps;
	serving->hang = incoming->config.hang;
	serving->devices = &incoming->config.devices;
	serving->arrive = arrive;
	serving->data = incoming;
	if (!ret)
		ret = build(incoming);
	if (!ret) {
		fail(incoming, 0, "preparing to serve the guest");
		status = serve_guest(&incoming->machine, serving);
	}
	/*
	 * Both sides report an error, unless this process was asked to end: then the helper sees
	 * that it did.
	 */
	if (incoming->handover) {
		loop_heed_signals();
		gmem_handover_end(incoming->handover, ret ? ret : -EIO, incoming->step);
		say("the guest stays where it is: %s%s%s", incoming->step, ret ? ": " : "",
		    ret ? strerror(-ret) : "");
	}
	return status;
}

static int begin(int socket)
{
	struct gmem_handover_options options = GMEM_HANDOVER_OPTIONS;
	struct incoming *incoming = calloc(1, sizeof(*incoming));
	int status, ret;

	if (!incoming)
		return say_failed(-ENOMEM, "preparing for a guest");
	incoming->machine.kvm = -1;
	incoming->machine.vm = -1;
	incoming->machine.events.epoll = -1;
	incoming->live = (struct live)LIVE_NONE;
	incoming->serving.claim = (struct vm_claim)VM_CLAIM_NONE;
	incoming->serving.helper = (struct helper)HELPER_NONE;
	incoming->serving.elsewhere = true;
	options.role = GMEM_DESTINATION;
	options.socket = socket;
	ret = gmem_handover_open(&incoming->handover, &options, 0);
	if (ret) {
		free(incoming);
		say_failed(ret, "the handover");
		say_todo("'gmem upgrade NAME' starts this command");
		return EXIT_FAILED;
	}
	status = serve(incoming);
	virtio_close_all(&incoming->machine, now_ns() + VIRTIO_CLOSE_WAIT);
	machine_close(&incoming->machine);
	serve_end(&incoming->serving);
	gmem_handover_close(incoming->handover);
	upgrade_config_free(&incoming->config);
	live_close(&incoming->live);
	free(incoming->bytes);
	free(incoming);
	return status;
}

int cmd_incoming(int argc, char **argv)
{
	long socket = -1;
	const struct option_row rows[] = {
		{ .name = "handover", .argument = "FD", .number = &socket,
		  .least = 3, .most = 1 << 20,
		  .help = "the connection to the process that has the guest" },
		{ .name = NULL },
	};
	int status = options_read(argc, argv, rows,
				  "Take over the guest of a VM that is upgraded.");
	int kept, ret;

	if (status)
		return status < 0 ? EXIT_DONE : status;
	if (socket < 0)
		return options_wrong(argv[0], "needs --handover%s", "");
	kept = socket;
	ret = close_all_but(&kept, 1);
	return ret ? say_failed(ret, "closing what it was started with") : begin(kept);
}
