// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/devices.h"
#include "cmd/serve.h"
#include "common/say.h"
#include "common/service.h"
#include "common/status.h"
#include "confine.h"
#include "control/server.h"
#include "handover/source.h"
#include "loop.h"
#include "snapshot/snapshot.h"

#define SELF	"/proc/self/exe"

int serve_check(const struct serving *serving)
{
	const char *todo;
	int ret;

	if (!serving->snapshot)
		return 0;
	ret = snapshot_check_place(serving->snapshot, &todo);
	if (!ret)
		return 0;
	say_failed(ret, "the snapshot's directory %s", serving->snapshot);
	say_todo(todo);
	return EXIT_FAILED;
}

int serve_as(struct serving *serving, const char *name)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char why[NAMES_WHY];

	serving->claim = (struct vm_claim)VM_CLAIM_NONE;
	if (!name || (!vm_name_check(name, why) &&
		      !vm_control_path(name, path, sizeof(path), why) &&
		      !vm_claim(&serving->claim, name, why)))
		return 0;
	fprintf(stderr, "gmem: the name '%s': %s\n", name, why);
	return EXIT_FAILED;
}

/*
 * Only the helper gets this socket, so that the VMM cannot fake a request. 0 if there is no name.
 */
static int listen_for_upgrades(const struct vm_claim *claim)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char why[NAMES_WHY];
	int fd, ret;

	if (claim->base < 0)
		return 0;
	ret = vm_upgrade_path(claim->name, address.sun_path, sizeof(address.sun_path), why);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* The file gets the socket's own mode, so that no chmod(2) comes too late. */
	if (!fchmod(fd, 0600) && !bind(fd, (struct sockaddr *)&address, sizeof(address)) &&
	    !listen(fd, 4))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

int serve_with_helper(struct serving *serving, const struct devices *devices,
		      const char *pager)
{
	struct helper_plan plan = {
		.crashes = serving->crashes, .hang = serving->hang,
		.claim = serving->claim.base < 0 ? NULL : &serving->claim,
		.listener = serving->socket, .pager = pager, .snapshot = serving->snapshot,
	};
	int ret;

	serving->devices = devices;
	nets_plan(&devices->nets, &plan);
	plan.upgrade = listen_for_upgrades(&serving->claim);
	/* Open the program now: its path may name another file by the time it is needed. */
	if (serving->keeps && plan.upgrade > 0)
		plan.program = open(SELF, O_RDONLY | O_CLOEXEC);
	serving->keeps = plan.program > 0;
	ret = plan.upgrade < 0 ? plan.upgrade : helper_start(&serving->helper, &plan);
	if (plan.upgrade > 0)
		close(plan.upgrade);
	if (plan.program > 0)
		close(plan.program);
	if (!ret)
		return 0;
	vm_release(&serving->claim);
	return say_failed(ret, "starting the helper");
}

/* The next VM recognises anything as stale that this one cannot remove any more. */
void serve_end(struct serving *serving)
{
	if (serving->elsewhere) {
		helper_leave(&serving->helper);
	} else {
		helper_release(&serving->helper);
		helper_stop(&serving->helper);
	}
	vm_leave(&serving->claim);
}

/* 0 and NULL for a guest without a name. */
static int open_control(struct loop *loop, const struct serving *serving,
			struct control_server **server)
{
	const struct vm_claim *claim = &serving->claim;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char why[NAMES_WHY];
	int ret = 0;

	*server = NULL;
	if (claim->base < 0)
		return 0;
	if (serving->control) {
		*server = control_server_over(loop, claim->name, serving->control, &ret);
		return ret ? say_failed(ret, "the control socket") : 0;
	}
	if (vm_control_path(claim->name, path, sizeof(path), why)) {
		fprintf(stderr, "gmem: the name '%s': %s\n", claim->name, why);
		return EXIT_FAILED;
	}
	*server = control_server_open(loop, claim->name, path, &ret);
	return ret ? say_failed(ret, "the control socket %s", path) : 0;
}

static int run_here(struct serving *serving, struct loop *loop)
{
	service_ready(serving->manager);
	return loop_run(loop);
}

static int run(struct loop *loop, struct serving *serving)
{
	struct machine *machine = loop->vcpus->machine;
	struct control_server *server;
	const char *step;
	int ret = loop_open(loop), status;

	if (ret)
		return say_failed(ret, "preparing to serve the guest");
	status = open_control(loop, serving, &server);
	if (status)
		return status;
	ret = upgrade_open(&loop->upgrade, loop, serving, server);
	if (ret) {
		control_server_close(server);
		return say_failed(ret, "preparing for upgrades");
	}
	serving->manager = service_open();
	report("started", "fd=%d", machine_view(machine));
	ret = serving->arrive ? confine_destination(&step) : confine_vmm(&step);
	if (ret)
		status = say_failed(ret, "%s", step);
	else if (serving->arrive)
		status = serving->arrive(serving, loop);
	else
		status = run_here(serving, loop);
	upgrade_close(&loop->upgrade);
	serving->elsewhere |= loop->upgraded;
	control_server_close(server);
	if (serving->manager >= 0)
		close(serving->manager);
	return status;
}

int serve_guest(struct machine *machine, struct serving *serving)
{
	struct vcpus vcpus;
	struct loop loop = {
		.vcpus = &vcpus, .signals = -1, .snapshot = serving->snapshot,
		.exposes = serving->exposes, .no_snapshot = serving->no_snapshot,
		.helper = &serving->helper,
		.arrives = serving->arrive, .upgrade = UPGRADE_CLOSED,
		.hang = serving->keeps ? serving->hang : 0,
	};
	int status;
	int ret = vcpus_init(&vcpus, machine);

	if (ret)
		return say_failed(ret, "preparing the vCPUs' threads");
	machine->console.awaited = serving->snapshot_on;
	if (source_listen(serving->socket, &loop.listener)) {
		vcpus_close(&vcpus);
		return EXIT_FAILED;
	}
	ret = loop.listener < 0 ? 0 : helper_listens(&serving->helper);
	status = ret ? say_failed(ret, "watching the socket") : run(&loop, serving);
	/* Do this first: a snapshot that is being written asks the helper on the same channel. */
	loop_close(&loop);
	if (loop.listener >= 0)
		helper_unlisten(&serving->helper);
	source_unlisten(loop.listener, NULL);
	vcpus_close(&vcpus);
	return status;
}
