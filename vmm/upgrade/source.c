// SPDX-License-Identifier: MIT
/*
 * While the next VMM builds what it needs, and while the disks come to rest, the guest runs and the
 * loop turns. From there to the end the guest stands still, and we do nothing else.
 */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/serve.h"
#include "common/fd-message.h"
#include "common/say.h"
#include "common/status.h"
#include "control/request.h"
#include "control/server.h"
#include "helper/helper.h"
#include "helper/wire.h"
#include "live/publish.h"
#include "loop.h"
#include "net/port.h"
#include "upgrade/config.h"
#include "upgrade/hold.h"
#include "upgrade/named.h"
#include "upgrade/source.h"
#include "upgrade/state.h"
#include "virtio/block.h"
#include "virtio/device.h"
#include "virtio/net.h"

#include <linux/virtio_ids.h>

#define SECOND		1000000000ULL
#define HELLO_WAIT	(10 * SECOND)
#define BUILD_WAIT	(60 * SECOND)
#define DRAIN_WAIT	(10 * SECOND)
#define MOVE_WAIT	(10 * SECOND)
#define KILL_WAIT	5000		/* ms */

/* ---- Messages to the client ---- */

static void tell(struct upgrade *upgrade, struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(object, CONTROL_JSON);

	if (upgrade->client >= 0)
		send(upgrade->client, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	json_object_put(object);
}

static void add_number(struct json_object *object, const char *member, uint64_t number)
{
	json_object_object_add(object, member, json_object_new_uint64(number));
}

static struct json_object *new_answer(const struct upgrade *upgrade)
{
	struct json_object *object = json_object_new_object();

	add_number(object, "ms", (now_ns() - upgrade->began) / 1000000);
	return object;
}

static void tell_phase(struct upgrade *upgrade, const char *phase)
{
	struct json_object *object = new_answer(upgrade);

	json_object_object_add(object, "phase", json_object_new_string(phase));
	add_number(object, "pid", upgrade->pid);
	tell(upgrade, object);
}

static void tell_failed(struct upgrade *upgrade, const char *why)
{
	struct json_object *object = new_answer(upgrade);
	char text[CONTROL_WHY];

	snprintf(text, sizeof(text), "%s", why);
	make_printable(text);
	json_object_object_add(object, "ok", json_object_new_boolean(false));
	json_object_object_add(object, "error", json_object_new_string(text));
	tell(upgrade, object);
	say("the upgrade has failed: %s: the guest goes on here", text);
}

static void tell_done(struct upgrade *upgrade, bool runs)
{
	struct json_object *object = new_answer(upgrade);
	uint64_t last, first;

	gmem_handover_times(upgrade->handover, &last, &first);
	json_object_object_add(object, "ok", json_object_new_boolean(true));
	add_number(object, "pid", upgrade->pid);
	if (runs)
		add_number(object, "blackout_us", (first - last) / 1000);
	tell(upgrade, object);
}

/* ---- The end of an upgrade ---- */

static void forget(struct upgrade *upgrade)
{
	struct machine *machine = upgrade->loop->vcpus->machine;

	if (upgrade->talk.fd >= 0)
		events_remove(&machine->events, &upgrade->talk);
	upgrade->talk.fd = -1;
	gmem_handover_close(upgrade->handover);
	upgrade->handover = NULL;
	if (upgrade->client >= 0)
		close(upgrade->client);
	upgrade->client = -1;
	upgrade->state = UPGRADE_NONE;
}

/* The upgrade holds nothing any more that the guest needs: held devices go on. */
static void fail(struct upgrade *upgrade, const char *why)
{
	struct machine *machine = upgrade->loop->vcpus->machine;

	tell_failed(upgrade, why);
	helper_upgrade_failed(upgrade->loop->helper);
	if (upgrade->state == UPGRADE_DRAINS)
		virtio_release_all(machine);
	forget(upgrade);
}

/*
 * The upgrade fails before the guest stands still: the guest is ours, whatever the other side says.
 */
static void give_up(struct upgrade *upgrade, int error, const char *why)
{
	char reason[GMEM_HANDOVER_REASON];

	snprintf(reason, sizeof(reason), "%s", *gmem_handover_reason(upgrade->handover) ?
		 gmem_handover_reason(upgrade->handover) : why);
	gmem_handover_end(upgrade->handover, error, reason);
	fail(upgrade, reason);
}

void upgrade_cancel(struct upgrade *upgrade, const char *why)
{
	if (upgrade->state != UPGRADE_NONE)
		give_up(upgrade, -ECANCELED, why);
}

/* ---- OFFER ---- */

static void add_devices(struct named_fds *fds, const struct machine *machine)
{
	unsigned int i, disk = 0, net = 0;

	for (i = 0; i < machine->nr_virtio; i++) {
		struct virtio_device *device = machine->virtio[i];
		const struct net_port *port;

		if (device->ops->type == VIRTIO_ID_BLOCK)
			named_add_nth(fds, block_descriptor(device), "disk", disk++);
		if (device->ops->type != VIRTIO_ID_NET)
			continue;
		port = net_port_of(device);
		if (passt_is(port))
			named_add_nth(fds, passt_ends(port).channel, "passt", net++);
		else
			named_add_nth(fds, tap_descriptor(port), "tap", net++);
	}
}

static void add_process(struct named_fds *fds, const struct upgrade *upgrade)
{
	const struct serving *serving = upgrade->serving;

	named_add(fds, upgrade->config, "config");
	named_add(fds, upgrade->control, "control");
	named_add(fds, serving->claim.base, "name.base");
	named_add(fds, serving->claim.dir, "name.dir");
	named_add(fds, serving->claim.lock, "name.lock");
	named_add(fds, serving->helper.files, "helper.files");
	named_add(fds, serving->helper.pager, "helper.pager");
	named_add(fds, serving->helper.upgrade, "helper.upgrade");
	named_add(fds, STDIN_FILENO, "stdin");
	named_add(fds, STDOUT_FILENO, "stdout");
	named_add(fds, report_descriptor(), "report");
}

static int offer(struct upgrade *upgrade)
{
	const struct machine *machine = upgrade->loop->vcpus->machine;
	struct gmem_slot slots[MACHINE_SLOTS];
	struct named_fds fds = { .nr = 0 };
	struct gmem_offer offer = {
		.vm_type = machine->vm_type, .nr_vcpus = machine->nr_vcpus, .slots = slots,
		.nr_slots = upgrade_config_slots(machine, slots), .vm = machine->vm,
		.view = machine_view(machine), .fds = fds.all,
	};

	add_process(&fds, upgrade);
	add_devices(&fds, machine);
	offer.nr_fds = fds.nr;
	gmem_handover_deadline(upgrade->handover, now_ns() + BUILD_WAIT);
	return gmem_handover_offer(upgrade->handover, &offer);
}

/* ---- PAUSED, and what follows ---- */

/* Takes typed input out of the terminal; if the guest comes back, it is typed again. */
static void take_typed(struct terminal *terminal, struct upgrade_run *run)
{
	int byte;

	while (run->nr_typed < sizeof(run->typed) && (byte = terminal_get(terminal)) >= 0)
		run->typed[run->nr_typed++] = byte;
}

static void add_connections(struct named_fds *fds, const struct machine *machine,
			    struct upgrade_run *run)
{
	unsigned int i, net = 0;

	for (i = 0; i < machine->nr_virtio; i++) {
		const struct net_port *port;
		struct passt_ends ends;

		if (machine->virtio[i]->ops->type != VIRTIO_ID_NET)
			continue;
		port = net_port_of(machine->virtio[i]);
		if (passt_is(port)) {
			ends = passt_ends(port);
			run->passt[net].up = ends.socket >= 0;
			run->passt[net].number = ends.number;
			named_add_nth(fds, ends.socket, "frames", net);
		}
		net++;
	}
}

static int store(struct upgrade *upgrade, const struct upgrade_run *run)
{
	void *bytes;
	size_t size;
	int ret = upgrade_state_save(upgrade->loop->vcpus->machine, run, &bytes, &size);

	if (ret)
		return ret;
	ret = gmem_page_store(&upgrade->page, bytes, size);
	free(bytes);
	return ret;
}

/* Nothing is in flight, and no input comes. */
static int say_paused(struct upgrade *upgrade, struct upgrade_run *run)
{
	struct vcpus *vcpus = upgrade->loop->vcpus;
	struct named_fds fds = { .nr = 0 };
	int ret;

	take_typed(&upgrade->loop->terminal, run);
	run->shown = vcpus->machine->console.shown;
	run->fired = vcpus->machine->console.fired;
	terminal_flush(&upgrade->loop->terminal);
	add_connections(&fds, vcpus->machine, run);
	named_add(&fds, upgrade->loop->terminal.client.fd, "console");
	ret = store(upgrade, run);
	gmem_handover_deadline(upgrade->handover, now_ns() + MOVE_WAIT);
	return ret ? ret : gmem_handover_paused(upgrade->handover, vcpus->left_ns, fds.all,
						fds.nr);
}

/* Kill a destination that has begun the move and hangs: then the kernel decides. */
static int find_owner(struct upgrade *upgrade, int error)
{
	struct pollfd gone = { .fd = gmem_handover_peer(upgrade->handover), .events = POLLIN };
	int owner = gmem_handover_end(upgrade->handover, error, "the guest could not be paused");

	if (owner == -EBUSY) {
		helper_upgrade_failed(upgrade->loop->helper);
		poll(&gone, 1, KILL_WAIT);
		owner = gmem_handover_end(upgrade->handover, error, NULL);
	}
	return owner;
}

static void go_on(struct upgrade *upgrade, struct upgrade_run *run, const char *why)
{
	struct loop *loop = upgrade->loop;

	if (run)
		terminal_type(&loop->terminal, run->typed, run->nr_typed);
	fail(upgrade, why);
	loop_go_on(loop);
}

static void part(struct upgrade *upgrade, bool runs)
{
	say("process %d has the guest now", (int)upgrade->pid);
	tell_done(upgrade, runs);
	upgrade->loop->given = true;
	upgrade->loop->upgraded = true;
	loop_end(upgrade->loop, EXIT_DONE);
	forget(upgrade);
}

/* Neither side has the guest. */
static void lose(struct upgrade *upgrade, int error)
{
	tell_failed(upgrade, "the guest is lost");
	say_failed(error == GMEM_NOBODYS ? -EIO : error, "finding out who has the guest");
	loop_end(upgrade->loop, EXIT_FAILED);
	forget(upgrade);
}

static void hand_over(struct upgrade *upgrade)
{
	struct gmem_handover *handover = upgrade->handover;
	struct upgrade_run *run = calloc(1, sizeof(*run));
	char reason[GMEM_HANDOVER_REASON] = "there is no memory";
	bool moved = false;
	int owner, ret = run ? 0 : -ENOMEM;

	if (!ret) {
		run->paused = upgrade->loop->vcpus->paused;
		ret = say_paused(upgrade, run);
	}
	if (!ret)
		ret = gmem_handover_wait(handover);
	if (ret > 0) {
		moved = true;
		gmem_handover_deadline(handover, now_ns() + MOVE_WAIT);
		ret = gmem_handover_wait(handover);
	}
	if (ret <= 0 && *gmem_handover_reason(handover))
		snprintf(reason, sizeof(reason), "%s", gmem_handover_reason(handover));
	else if (ret < 0)
		snprintf(reason, sizeof(reason), "saving the guest's devices: %s", strerror(-ret));
	owner = moved ? GMEM_THEIRS : find_owner(upgrade, ret < 0 ? ret : 0);
	if (owner == GMEM_OURS)
		go_on(upgrade, run, reason);
	else if (owner == GMEM_THEIRS)
		part(upgrade, ret > 0);
	else
		lose(upgrade, owner);
	free(run);
}

/* ---- Coming to rest ---- */

static bool is_settled(const struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_virtio; i++) {
		struct virtio_device *device = machine->virtio[i];

		if (device->ops->type == VIRTIO_ID_NET && passt_is(net_port_of(device)) &&
		    !passt_settle(net_port_of(device)))
			return false;
	}
	return virtio_all_idle(machine);
}

/* Carry out the vCPUs' last requests to devices; that is quick if the devices are held. */
static void pause_guest(struct upgrade *upgrade)
{
	struct vcpus *vcpus = upgrade->loop->vcpus;

	vcpus_stop(vcpus);
	virtio_attend_all(vcpus->machine);
	if (vcpus->ended)
		give_up(upgrade, -ESRCH, "the guest has just ended");
	else if (!virtio_all_idle(vcpus->machine))
		give_up(upgrade, -EBUSY, "a device is not at rest");
	else if (vcpus_stand_still(vcpus))
		upgrade_cancel(upgrade, SNAPSHOT_COMES);
	else
		hand_over(upgrade);
	/* For a snapshot, the guest stands still here. */
	if (upgrade->state == UPGRADE_NONE && !upgrade->loop->over && !vcpus_stand_still(vcpus))
		loop_go_on(upgrade->loop);
}

static void drain(struct upgrade *upgrade)
{
	upgrade->state = UPGRADE_DRAINS;
	upgrade->until = now_ns() + DRAIN_WAIT;
	virtio_hold_all(upgrade->loop->vcpus->machine);
	tell_phase(upgrade, "LINKED");
}

static void look_at_devices(struct upgrade *upgrade)
{
	struct machine *machine = upgrade->loop->vcpus->machine;

	virtio_attend_all(machine);
	if (is_settled(machine))
		pause_guest(upgrade);
	else if (now_ns() >= upgrade->until)
		give_up(upgrade, -ETIMEDOUT, "waiting for the devices");
}

/* ---- Talking ---- */

static void advance(struct upgrade *upgrade)
{
	int ret = gmem_handover_step(upgrade->handover);

	if (ret > 0 && gmem_handover_phase(upgrade->handover) == GMEM_PHASE_HELLO) {
		tell_phase(upgrade, "HELLO");
		ret = offer(upgrade);
	} else if (ret > 0) {
		drain(upgrade);
		ret = 0;
	}
	if (ret < 0)
		give_up(upgrade, ret, "offering the guest");
}

static void heard(struct event *event, uint32_t ready)
{
	(void)ready;
	advance(event->data);
}

void upgrade_look(struct upgrade *upgrade)
{
	if (upgrade->state == UPGRADE_NONE)
		return;
	if (upgrade->loop->over) {
		give_up(upgrade, -ECANCELED, "the VM has been ended");
		return;
	}
	advance(upgrade);
	if (upgrade->state == UPGRADE_DRAINS)
		look_at_devices(upgrade);
}

/* ---- The beginning ---- */

static const char *refusal(const struct upgrade *upgrade)
{
	const struct loop *loop = upgrade->loop;

	if (loop->no_snapshot)
		return loop->no_snapshot;
	if (upgrade->unable == -EOPNOTSUPP)
		return "only a guest with a --kernel can be upgraded";
	if (upgrade->unable)
		return "it could not prepare for upgrades at its start: they need /proc";
	if (loop->saving.state != SAVING_NOTHING)
		return "a snapshot is being made";
	return loop->over ? "the VM is ending" : NULL;
}

static int begin(struct upgrade *upgrade, int socket, int peer)
{
	struct gmem_handover_options options = GMEM_HANDOVER_OPTIONS;
	int ret;

	options.role = GMEM_SOURCE;
	options.socket = socket;
	options.peer = peer;
	options.page = &upgrade->page;
	options.info = upgrade->info;
	ret = gmem_handover_open(&upgrade->handover, &options, 0);
	if (ret) {
		close(socket);
		close(peer);
		return ret;
	}
	gmem_handover_deadline(upgrade->handover, now_ns() + HELLO_WAIT);
	upgrade->state = UPGRADE_TALKS;
	upgrade->talk.fd = gmem_handover_fd(upgrade->handover);
	ret = events_add(&upgrade->loop->vcpus->machine->events, &upgrade->talk, EPOLLIN);
	if (ret)
		upgrade->talk.fd = -1;
	return ret;
}

static void asked(struct event *event, uint32_t ready)
{
	struct upgrade *upgrade = event->data;
	struct helper_message message;
	int fds[FD_MESSAGE_FDS], ret;
	const char *why;

	(void)ready;
	ret = helper_receive(event->fd, &message, fds);
	if (ret <= 0 || message.kind != HELPER_UPGRADE || fds[2] < 0 ||
	    upgrade->state != UPGRADE_NONE) {
		fd_message_close(fds);
		events_remove(&upgrade->loop->vcpus->machine->events, event);
		return;
	}
	upgrade->pid = message.number;
	upgrade->client = fds[2];
	upgrade->began = now_ns();
	why = refusal(upgrade);
	if (why) {
		close(fds[0]);
		close(fds[1]);
		fail(upgrade, why);
		return;
	}
	tell_phase(upgrade, "STARTED");
	ret = begin(upgrade, fds[0], fds[1]);
	if (ret)
		fail(upgrade, ret == -EPIPE ? "the other side has gone, at once" : strerror(-ret));
}

/* ---- Setting up ---- */

static int prepare(struct upgrade *upgrade)
{
	struct machine *machine = upgrade->loop->vcpus->machine;
	int ret;

	if (!machine->pc.present || machine_view(machine) < 0 || upgrade->loop->no_snapshot)
		return -EOPNOTSUPP;
	ret = machine_keep_cpuids(machine);
	if (ret)
		return ret;
	upgrade->config = upgrade_config_write(machine, upgrade->serving);
	if (upgrade->config < 0)
		return upgrade->config;
	upgrade->info = gmem_memfd_facts_open(machine_view(machine));
	return upgrade->info < 0 ? upgrade->info :
	       gmem_page_create(&upgrade->page, UPGRADE_ROOM, 0);
}

int upgrade_open(struct upgrade *upgrade, struct loop *loop, const struct serving *serving,
		 const struct control_server *server)
{
	*upgrade = (struct upgrade)UPGRADE_CLOSED;
	upgrade->loop = loop;
	upgrade->serving = serving;
	upgrade->asked = (struct event){
		.fd = serving->helper.upgrade, .ready = asked, .data = upgrade,
	};
	upgrade->talk = (struct event){ .fd = -1, .ready = heard, .data = upgrade };
	if (upgrade->asked.fd < 0 || !server)
		return 0;
	upgrade->control = control_server_listener(server);
	/* A failure here does not stop the guest from starting. */
	upgrade->unable = prepare(upgrade);
	if (!upgrade->unable && serving->keeps && upgrade_hold(upgrade))
		say("the helper could not be given what it needs to go on where this VMM dies");
	/* The loop may hang from its first turn on. */
	if (loop->hang)
		publish_beat(loop->vcpus->machine);
	return events_add(&loop->vcpus->machine->events, &upgrade->asked, EPOLLIN);
}

void upgrade_close(struct upgrade *upgrade)
{
	if (upgrade->state != UPGRADE_NONE)
		give_up(upgrade, -ECANCELED, "the VM has been ended");
	if (upgrade->config >= 0)
		close(upgrade->config);
	if (upgrade->info >= 0)
		close(upgrade->info);
	upgrade->config = -1;
	upgrade->info = -1;
	gmem_page_close(&upgrade->page);
}
