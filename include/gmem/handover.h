/* SPDX-License-Identifier: MIT */
/* libgmem: what two VMM processes say to each other in a handover. gmem.h has the conventions. */
#ifndef GMEM_HANDOVER_H
#define GMEM_HANDOVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gmem/memory.h>
#include <gmem/state.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Handover: messages (handover/message.c, decode.c) ---- */

/*
 * A handover is a dialogue between the source, whose VM has the guest, and the
 * destination, which connects to the source's socket:
 *
 *	destination		source			the guest
 *	REQUEST    ------------>			runs under the source
 *		   <------------ MEMORY			runs
 *	LINKED     ------------>			runs
 *		   <------------ STATE			is stopped
 *	COMMIT     ------------>			is stopped
 *		   <------------ GIVEN			is the destination's
 *	RUNNING    ------------>			runs there
 *
 * Between MEMORY and the end, the source leaves layout and attributes alone.
 *
 * Never two owners: the source runs the guest until it has sent STATE. From there it may run the
 * guest again only if the dialogue ended before COMMIT came, or if the destination's process is
 * gone and RUNNING had not come. The destination runs the guest only after GIVEN, having sent
 * RUNNING; or, having STATE, when the source's process is gone. A closed socket does not show that
 * a process is gone: use gmem_peer_wait_gone().
 *
 * Either side may send ABORT, with a reason, in place of its next message, up
 * to COMMIT and GIVEN.
 *
 * SNAPSHOT does not go over a socket: it is the state of a guest, without its memory, as kept in a
 * file. Its descriptors are files of memory, in an order that writer and reader agree on.
 */
enum gmem_message_kind {
	GMEM_MESSAGE_REQUEST = 1,
	GMEM_MESSAGE_MEMORY,
	GMEM_MESSAGE_LINKED,
	GMEM_MESSAGE_STATE,
	GMEM_MESSAGE_COMMIT,
	GMEM_MESSAGE_GIVEN,
	GMEM_MESSAGE_RUNNING,
	GMEM_MESSAGE_ABORT,
	GMEM_MESSAGE_SNAPSHOT,
	GMEM_MESSAGE_KINDS
};

/* Limits of one message; both sides refuse anything beyond them. */
#define GMEM_MAX_FDS		64
#define GMEM_MAX_SLOTS		4096
#define GMEM_MAX_RANGES		65536
#define GMEM_MAX_VCPUS		1024
#define GMEM_MAX_BLOB		65536		/* bytes */
#define GMEM_MAX_DEVICES	(1024 * 1024)	/* bytes */
#define GMEM_MAX_TEXT		256		/* bytes, the final 0 included */
#define GMEM_MAX_MESSAGE	(64 * 1024 * 1024) /* bytes */

/*
 * struct gmem_message - a message, to send or received
 * @kind: which one; decides which of the following members it has
 * @vm_type: MEMORY, SNAPSHOT: KVM_X86_*
 * @nr_slots, @slots: likewise: the memslots; their descriptors are indexes
 * @nr_ranges, @ranges: likewise: attributes that are not 0
 * @nr_fds, @fds: likewise: descriptors, each used by at least one slot
 * @nr_vcpus, @vcpus: STATE, SNAPSHOT: vCPUs
 * @devices_size, @devices: likewise: the VMM's own, opaque to the library
 * @vm_state: SNAPSHOT: what the vCPUs share
 * @error: ABORT: a positive errno
 * @text: ABORT: the reason, for a person
 *
 * For sending, the pointers and descriptors stay the caller's. On receipt they belong to the
 * message until gmem_message_free().
 */
struct gmem_message {
	enum gmem_message_kind kind;
	uint64_t vm_type;
	uint32_t nr_slots;
	uint32_t nr_ranges;
	uint32_t nr_vcpus;
	uint32_t nr_fds;
	struct gmem_slot *slots;
	struct gmem_range *ranges;
	struct gmem_vcpu_state *vcpus;
	int fds[GMEM_MAX_FDS];
	size_t devices_size;
	void *devices;
	struct gmem_vm_state vm_state;
	int error;
	char text[GMEM_MAX_TEXT];
};

/*
 * gmem_message_encode - lay a message out as it goes over the socket
 * @buffer: where to store a buffer, to be given to free()
 *
 * Returns the number of bytes, which do not include descriptors. Errors: EINVAL
 * (gmem_message_decode() would not accept the message), ENOMEM.
 */
ssize_t gmem_message_encode(const struct gmem_message *message, void **buffer);

/*
 * gmem_message_decode - read a message from untrusted bytes
 * @message: filled in, but for @fds, which are -1; empty on error
 * @buffer, @size: exactly one message
 *
 * Errors: EBADMSG (no message, cut short, too long), EPROTONOSUPPORT (another
 * version), EPROTO (well-formed, but with content that its kind may not have), ENOMEM.
 */
int gmem_message_decode(struct gmem_message *message, const void *buffer,
			size_t size);

/* gmem_message_free - free a received message and close its descriptors */
void gmem_message_free(struct gmem_message *message);

/*
 * gmem_message_take_fd - take a descriptor out of a received message
 *
 * Returns the descriptor, which belongs to the caller from now on. EBADF: the message has no such
 * descriptor, or it was taken already.
 */
int gmem_message_take_fd(struct gmem_message *message, uint32_t index);

/* gmem_message_name - "REQUEST", ...; "unknown" for any other value */
const char *gmem_message_name(enum gmem_message_kind kind);

/* ---- Handover: the socket (handover/socket.c) ---- */

/*
 * gmem_listen - make the socket that destinations connect to
 * @path: of the socket, which has mode 0600 from its first instant; the caller must unlink it
 *
 * Errors: EADDRINUSE (@path exists), ENAMETOOLONG, ENOENT, EACCES.
 */
int gmem_listen(const char *path);

/*
 * gmem_accept - take one destination
 *
 * Returns its connection. EPERM: the process at the other end belongs to another user who is not
 * root, and was rejected.
 */
int gmem_accept(int listener);

/*
 * gmem_connect - connect to a source
 *
 * Returns the connection. Errors: ENOENT (no such socket), ECONNREFUSED
 * (nobody listens), EPERM as for gmem_accept(), ENAMETOOLONG.
 */
int gmem_connect(const char *path);

/*
 * gmem_send - send a message
 * @timeout: for the whole of it, -1 for ever
 *
 * Returns the bytes sent. Errors: EINVAL (as gmem_message_encode(); SNAPSHOT), EPIPE
 * (the peer has closed), ETIMEDOUT. After an error the connection cannot be used any more: close
 * it.
 */
ssize_t gmem_send(int socket, const struct gmem_message *message, int timeout);

/*
 * gmem_receive - receive a message
 * @message: filled in; free with gmem_message_free(). Empty unless the
 *	result is positive.
 * @timeout: for the whole of it, -1 for ever
 *
 * Returns the bytes received, or 0 when the peer has closed. The peer may be hostile: errors as
 * gmem_message_decode(), and EPROTO (SNAPSHOT; the number of descriptors differs from what the
 * message says), EBADF (a descriptor is not what its slot needs: private_fd a view, shared_fd a
 * file sealed with F_SEAL_SHRINK, both long enough), EMFILE, ETIMEDOUT. No received descriptor
 * stays open after an error. The connection cannot be used any more then: close it.
 */
ssize_t gmem_receive(int socket, struct gmem_message *message, int timeout);

/* ---- Handover: who is at the other end (handover/peer.c) ---- */

/*
 * struct gmem_peer - the process at the other end of a connection
 * @pidfd: of the process, or -1
 * @pid: its number as seen from here
 * @uid: its user
 * @gone: it was gone already when the peer was opened
 */
struct gmem_peer {
	int pidfd;
	pid_t pid;
	uid_t uid;
	int gone;
};

/*
 * gmem_peer_open - find out which process is at the other end of a connection
 * @socket: from gmem_connect() or gmem_accept()
 * @peer: filled in; close it with gmem_peer_close(), even after an error
 * @timeout: how long to wait for something to come, in milliseconds, -1 for ever
 *
 * The peer is the process that sent the next data, not the process that called listen(2), which
 * SO_PEERCRED names. So this waits until data has arrived, and leaves it in the socket. Errors:
 * EPIPE (the connection was closed), EPERM (a process of another user, and not root's), ETIMEDOUT,
 * ESRCH (the sender's number has no meaning here), EMFILE.
 */
int gmem_peer_open(int socket, struct gmem_peer *peer, int timeout);

/*
 * gmem_peer_wait_gone - wait until the peer's process is no more
 * @timeout: how long to wait, 0 to ask only, -1 for ever
 *
 * Returns 0 when it is gone with all its descriptors and VMs (it may still be a zombie). ETIMEDOUT:
 * it lives. EBADF: this cannot be determined.
 */
int gmem_peer_wait_gone(const struct gmem_peer *peer, int timeout);

/* gmem_peer_kill - SIGKILL to the peer's process; ESRCH: it is gone already */
int gmem_peer_kill(const struct gmem_peer *peer);

/* gmem_peer_close - forget it; may be called twice */
void gmem_peer_close(struct gmem_peer *peer);

#ifdef __cplusplus
}
#endif

#endif /* GMEM_HANDOVER_H */
