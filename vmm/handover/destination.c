// SPDX-License-Identifier: MIT
/*
 * The destination's side of a handover. The VM is built while the guest still runs
 * under the source; it runs here only when the source has said that it will not run the guest any
 * more, or is gone.
 */
#include <errno.h>
#include <unistd.h>

#include "common/peer.h"
#include "common/say.h"
#include "handover/destination.h"
#include "handover/dialogue.h"
#include "handover/transfer.h"

static int connect_source(struct destination *destination, const char *path)
{
	int ret;

	destination->step = "connecting to the source";
	destination->socket = gmem_connect(path);
	if (destination->socket < 0)
		return destination->socket;
	destination->step = "asking the source for the guest";
	ret = send_kind(destination->socket, GMEM_MESSAGE_REQUEST);
	if (ret < 0)
		return ret;
	/* The process that answers has the guest, even if another one listened. */
	destination->step = "receiving the guest's memory";
	ret = gmem_peer_open(destination->socket, &destination->source, STOPPED_TIMEOUT);
	if (!ret)
		report("connected", "to=%d", (int)destination->source.pid);
	return ret;
}

/* MEMORY, LINKED: the guest runs under the source all the while. */
static int build_machine(struct destination *destination)
{
	struct gmem_message message;
	ssize_t ret;

	ret = receive_kind(destination->socket, GMEM_MESSAGE_MEMORY,
			   STOPPED_TIMEOUT, &message);
	if (ret < 0)
		return ret;
	report("memory-received", "bytes=%zd", ret);
	ret = machine_from_memory(&destination->machine, &message);
	destination->step = destination->machine.step;
	gmem_message_free(&message);
	if (ret < 0)
		return ret;
	destination->step = "telling the source that the memory is linked";
	ret = send_kind(destination->socket, GMEM_MESSAGE_LINKED);
	return ret < 0 ? ret : 0;
}

static int receive_state(struct destination *destination)
{
	struct gmem_message message;
	ssize_t ret;

	destination->step = "receiving the vCPU's state";
	ret = receive_kind(destination->socket, GMEM_MESSAGE_STATE,
			   STOPPED_TIMEOUT, &message);
	if (ret < 0)
		return ret;
	report("state-received", "bytes=%zd", ret);
	ret = machine_from_state(&destination->machine, &message);
	destination->step = destination->machine.step;
	gmem_message_free(&message);
	if (ret)
		return ret;
	report("registers", "vcpus=1");
	return 0;
}

/* Do everything that can fail before the guest is ours alone. */
static int make_ready(struct destination *destination)
{
	int ret;

	destination->step = "starting the vCPU's vcpus";
	ret = vcpus_init(&destination->vcpus, &destination->machine);
	if (!ret && destination->prepare)
		ret = destination->prepare(destination->data);
	if (!ret)
		ret = vcpus_park(&destination->vcpus);
	destination->complete = !ret;
	return ret;
}

/* COMMIT, GIVEN. */
static int become_owner(struct destination *destination)
{
	ssize_t ret;

	destination->step = "committing";
	ret = send_kind(destination->socket, GMEM_MESSAGE_COMMIT);
	if (ret > 0)
		ret = receive_kind(destination->socket, GMEM_MESSAGE_GIVEN,
				   STOPPED_TIMEOUT, NULL);
	if (ret < 0)
		return ret;
	report("given", "by=%d", (int)destination->source.pid);
	return 0;
}

/*
 * The source broke off. If it had stopped the guest and sent all of its state, and its process is
 * gone, then nobody runs the guest, and it is complete here.
 */
static bool source_died(struct destination *destination)
{
	if (!destination->complete ||
	    gmem_peer_wait_gone(&destination->source, DYING_TIMEOUT))
		return false;
	say("process %d died when it had sent the guest: it goes on here",
	    (int)destination->source.pid);
	return true;
}

static int kill_source(struct destination *destination)
{
	int ret;

	destination->step = "killing the source";
	report("kill", "pid=%d", (int)destination->source.pid);
	ret = destination->source.gone ? -ESRCH :
	      destination->kill(destination->data, destination->source.pidfd);
	if (ret && ret != -ESRCH)
		return ret;
	ret = gmem_peer_wait_gone(&destination->source, DYING_TIMEOUT);
	if (!ret)
		report("source-gone", "pid=%d", (int)destination->source.pid);
	return ret;
}

int destination_take(struct destination *destination, const char *path)
{
	int ret = connect_source(destination, path);

	if (!ret)
		ret = build_machine(destination);
	if (!ret)
		ret = receive_state(destination);
	if (!ret)
		ret = make_ready(destination);
	if (!ret)
		ret = become_owner(destination);
	if (ret && ret != -ECANCELED && source_died(destination))
		return 0;
	/* If KVM did not fail, the source did, or sent something invalid. */
	destination->todo = destination->machine.todo ? destination->machine.todo :
							peer_todo(ret);
	if (ret) {
		if (destination->socket >= 0 && ret != -ECANCELED)
			send_abort(destination->socket, ret, destination->step);
		return ret;
	}
	if (destination->kill)
		return kill_source(destination);
	/* The last word: from here on the source will not take it back. */
	destination->step = "telling the source that the guest runs here";
	ret = send_kind(destination->socket, GMEM_MESSAGE_RUNNING);
	return ret < 0 && ret != -EPIPE ? ret : 0;
}

void destination_leave(struct destination *destination)
{
	if (destination->socket >= 0)
		close(destination->socket);
	gmem_peer_close(&destination->source);
	destination->socket = -1;
}

void destination_close(struct destination *destination)
{
	destination_leave(destination);
	vcpus_close(&destination->vcpus);
	machine_close(&destination->machine);
}
