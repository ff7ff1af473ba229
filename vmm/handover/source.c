// SPDX-License-Identifier: MIT
/*
 * The source's side of a handover. The guest is ours until the destination
 * has said COMMIT: whatever goes wrong before, it goes on here.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "boot/counting.h"
#include "common/peer.h"
#include "common/say.h"
#include "handover/dialogue.h"
#include "handover/source.h"
#include "handover/transfer.h"

/* Send layout and descriptors, and wait until the destination has built its VM. */
static int offer(struct vcpus *vcpus, int socket)
{
	struct gmem_slot slots[MACHINE_SLOTS];
	struct gmem_message message;
	ssize_t ret;

	ret = receive_kind(socket, GMEM_MESSAGE_REQUEST, STOPPED_TIMEOUT, NULL);
	if (ret < 0)
		return ret;
	machine_to_memory(vcpus->machine, &message, slots);
	ret = gmem_send(socket, &message, STOPPED_TIMEOUT);
	if (ret < 0)
		return ret;
	report("memory-sent", "bytes=%zd fds=%u", ret, message.nr_fds);
	ret = receive_kind(socket, GMEM_MESSAGE_LINKED, BUILD_TIMEOUT, NULL);
	return ret < 0 ? ret : 0;
}

/* Stop the guest, send its state, and wait for COMMIT. */
static int stop_and_send(struct vcpus *vcpus, int socket)
{
	struct gmem_vcpu_state vcpu;
	struct gmem_message message;
	ssize_t ret;

	vcpus_stop(vcpus);
	if (vcpus->ended)
		return -ENODATA;
	report("stopped", "left=%" PRIu64 " count=%" PRIu64, vcpus->left_ns,
	       machine_count(vcpus->machine));
	ret = machine_to_state(vcpus->machine, &message, &vcpu);
	if (ret)
		return ret;
	ret = gmem_send(socket, &message, STOPPED_TIMEOUT);
	gmem_vcpu_state_free(&vcpu);
	if (ret < 0)
		return ret;
	report("state-sent", "bytes=%zd", ret);
	ret = receive_kind(socket, GMEM_MESSAGE_COMMIT, STOPPED_TIMEOUT, NULL);
	return ret < 0 ? ret : 0;
}

/*
 * COMMIT has come: the guest is theirs, unless they died before they said that
 * they run it. Then nobody has run it since it stopped here.
 */
static enum guest_owner give(int socket, const struct gmem_peer *peer)
{
	ssize_t ret = send_kind(socket, GMEM_MESSAGE_GIVEN);

	if (ret == -EPIPE)	/* the peer did not read it */
		return OURS;
	report("given", "to=%d", (int)peer->pid);
	if (ret > 0)
		ret = receive_kind(socket, GMEM_MESSAGE_RUNNING,
				   STOPPED_TIMEOUT, NULL);
	if (ret > 0)
		return THEIRS;
	if (gmem_peer_wait_gone(peer, DYING_TIMEOUT))
		return THEIRS;
	/* The peer may have said so in a last message, which we have not read yet. */
	ret = receive_kind(socket, GMEM_MESSAGE_RUNNING, 0, NULL);
	return ret > 0 ? THEIRS : OURS;
}

static void say_peer_failed(int error, const char *step, const struct gmem_peer *peer)
{
	say_failed(error, "%s to process %d", step, (int)peer->pid);
	say_todo(peer_todo(error));
}

static enum guest_owner hand_over(struct vcpus *vcpus, int socket,
				  const struct gmem_peer *peer)
{
	const char *step = "offering the guest";
	int ret;

	/* A paused guest would run at the destination. */
	if (vcpus->paused) {
		send_abort(socket, -EBUSY, "the guest is paused: resume it first");
		return OURS;
	}
	ret = offer(vcpus, socket);
	if (!ret) {
		step = "handing over the guest";
		ret = stop_and_send(vcpus, socket);
	}
	if (!ret) {
		enum guest_owner owner = give(socket, peer);

		say(owner == THEIRS ? "process %d has the guest now" :
		    "process %d went away before it ran the guest",
		    (int)peer->pid);
		return owner;
	}
	if (ret != -ECANCELED)
		say_peer_failed(ret, step, peer);
	send_abort(socket, ret, step);
	return OURS;
}

enum guest_owner source_serve(struct vcpus *vcpus, int listener)
{
	struct gmem_peer peer;
	enum guest_owner owner = OURS;
	int socket = gmem_accept(listener);
	int ret;

	if (socket < 0) {
		say_failed(socket, "accepting a connection");
		return OURS;
	}
	ret = gmem_peer_open(socket, &peer, STOPPED_TIMEOUT);
	if (!ret)
		owner = hand_over(vcpus, socket, &peer);
	gmem_peer_close(&peer);
	close(socket);
	if (owner == OURS && !vcpus->going && !vcpus->ended && !vcpus->paused) {
		say("the guest goes on here");
		ret = vcpus_go_on(vcpus);
	}
	if (ret)
		say_failed(ret, "serving a connection");
	return owner;
}

int source_listen(const char *path, int *listener)
{
	*listener = path ? gmem_listen(path) : -1;
	if (!path || *listener >= 0)
		return 0;
	say_failed(*listener, "listening on %s", path);
	if (*listener == -EADDRINUSE)
		say_todo("another gmem may be listening there; if none is, remove the file");
	return *listener;
}

void source_unlisten(int listener, const char *path)
{
	if (listener < 0)
		return;
	if (path)
		unlink(path);
	close(listener);
}
