/* SPDX-License-Identifier: MIT */
/*
 * libgmem: the handover of a running VM to another process, version 2. gmem.h has the
 * conventions; docs/handover.md has the protocol, and what happens when a side dies.
 */
#ifndef GMEM_PROTOCOL_H
#define GMEM_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gmem/kvm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Sections (protocol/section.c) ---- */

#define GMEM_SECTION_NAME	16		/* bytes, the final 0 included */
#define GMEM_SECTION_HEADER	32		/* bytes in front of each content */
#define GMEM_SECTION_MOST	(64 * 1024)	/* bytes of a content */

/* A reader that does not know the section skips it; without the flag it refuses. */
#define GMEM_SECTION_OPTIONAL	1U

/*
 * struct gmem_section - the state of one device, or of something else
 * @name: printable characters
 * @version: of the content
 * @number: distinguishes several of that name, from 0 on
 * @flags: GMEM_SECTION_OPTIONAL, or 0
 * @length: bytes of @content
 * @content: inside the bytes that the section was read from
 */
struct gmem_section {
	char name[GMEM_SECTION_NAME];
	uint32_t version;
	uint32_t number;
	uint32_t flags;
	uint32_t length;
	const void *content;
};

/*
 * gmem_section_put - append a section to others
 * @bytes, @size: all the room there is
 * @used: bytes in use; advanced by a multiple of 8
 *
 * Errors: EINVAL (name, flags, length), ENOSPC.
 */
int gmem_section_put(void *bytes, size_t size, size_t *used, const struct gmem_section *section);

/*
 * gmem_section_next - read the next section from untrusted bytes
 * @at: where to read, from 0 on; advanced
 *
 * Returns 1, or 0 at the end. Errors: EBADMSG (cut short), EPROTO (no name, unknown flags).
 */
int gmem_section_next(const void *bytes, size_t size, size_t *at, struct gmem_section *section);

/* ---- The state page (protocol/page.c) ---- */

/*
 * The state page is memory that source and destination share. It has the state of the devices, in
 * sections, and one word that decides who owns it: the epoch, which is a number and a state,
 * changed together by compare-and-swap. docs/handover.md has its layout.
 */
enum gmem_epoch_state {
	GMEM_EPOCH_RUNNING = 1,	/* the source runs the guest, or may */
	GMEM_EPOCH_PAUSED,	/* the guest stands still: the first to swap gets it */
	GMEM_EPOCH_MOVING,	/* the destination has begun the move: ask the kernel */
	GMEM_EPOCH_MOVED,	/* the move has succeeded */
};

struct gmem_epoch {
	uint64_t number;
	enum gmem_epoch_state state;
};

/*
 * struct gmem_page - a mapped state page
 * @fd: of its memory, or -1
 * @base: where it is mapped, or NULL
 * @size: bytes, its header included
 */
struct gmem_page {
	int fd;
	void *base;
	size_t size;
};

#define GMEM_PAGE_NONE { .fd = -1 }

/*
 * gmem_page_create - make a state page
 * @room: bytes for sections, at most 16 MiB
 * @flags: 0
 *
 * The epoch is 1, RUNNING. Errors: EINVAL, ENOMEM, EMFILE.
 */
int gmem_page_create(struct gmem_page *page, size_t room, uint64_t flags);

/*
 * gmem_page_map - map another process's state page
 * @fd: of it; belongs to @page, on success only
 *
 * Errors: EBADF (no memory of that kind, or it can shrink), EBADMSG (no state page),
 * EPROTONOSUPPORT (of another version), ENOMEM.
 */
int gmem_page_map(struct gmem_page *page, int fd, uint64_t flags);

/* gmem_page_close - unmap and close; may be called twice */
void gmem_page_close(struct gmem_page *page);

/*
 * gmem_page_store - put sections in, with their checksum
 *
 * Errors: EINVAL (gmem_section_next() would not take them), ENOSPC.
 */
int gmem_page_store(struct gmem_page *page, const void *sections, size_t size);

/*
 * gmem_page_load - copy the sections out, and check them
 * @sections: where to store a buffer for free()
 *
 * Errors: EBADMSG (the checksum, or a size, is wrong), EPROTO, ENOMEM.
 */
int gmem_page_load(const struct gmem_page *page, void **sections, size_t *size);

/* gmem_page_epoch - read the word. EBADMSG: it has no such state. */
int gmem_page_epoch(const struct gmem_page *page, struct gmem_epoch *epoch);

/*
 * gmem_page_swap - change the word from @from to @to atomically
 *
 * Errors: EBUSY (it is not @from: the other side was first), EINVAL (@to is no epoch).
 */
int gmem_page_swap(struct gmem_page *page, struct gmem_epoch from, struct gmem_epoch to);

/* ---- Who owns a guest, as the kernel has it (protocol/owner.c) ---- */

enum gmem_vm_fate { GMEM_VM_ALIVE, GMEM_VM_MOVED, GMEM_VM_BROKEN };

/*
 * gmem_vm_fate - find out what became of the VM that a view belongs to
 * @info: of the view, from gmem_memfd_facts_open()
 *
 * Returns an enum gmem_vm_fate. Errors: EBADF (it is not of guest memory).
 */
int gmem_vm_fate(int info);

/*
 * gmem_vm_move - move a VM with its vCPUs: KVM_ENABLE_CAP
 * @vm: the destination: a VM of this process
 * @source: the VM to take them from
 * @flags: 0
 *
 * All or nothing. Errors: EINVAL (the VMs do not match), EIO (one is dead), EBUSY, EINTR,
 * ENOMEM, EOPNOTSUPP.
 */
int gmem_vm_move(int vm, int source, uint64_t flags);

/* ---- The two sides (protocol/handover.c) ---- */

/*
 *	source			destination		the guest
 *	HELLO      ------------>			runs under the source
 *		   <------------ HELLO			runs
 *	OFFER      ------------>			runs
 *		   <------------ LINKED			runs
 *	PAUSED     ------------>			stands still
 *		   <------------ MOVED			is the destination's
 *		   <------------ RUNNING		runs there
 *	DONE       ------------>
 *
 * Either side may send ABORT in place of its next message, up to MOVED.
 */
enum gmem_phase {
	GMEM_PHASE_HELLO = 1,
	GMEM_PHASE_OFFER,
	GMEM_PHASE_LINKED,
	GMEM_PHASE_PAUSED,
	GMEM_PHASE_MOVED,
	GMEM_PHASE_RUNNING,
	GMEM_PHASE_DONE,
	GMEM_PHASE_ABORT,
	GMEM_PHASES
};

/* gmem_phase_name - "HELLO", ...; "unknown" for any other value */
const char *gmem_phase_name(enum gmem_phase phase);

#define GMEM_HANDOVER_LEAST	2	/* versions that this library speaks */
#define GMEM_HANDOVER_MOST	2
#define GMEM_HANDOVER_FDS	250	/* of one message, of the caller's */
#define GMEM_HANDOVER_SLOTS	512
#define GMEM_HANDOVER_MESSAGE	65536	/* bytes */
#define GMEM_HANDOVER_REASON	256	/* bytes, the final 0 included */
#define GMEM_NEVER		UINT64_MAX

enum gmem_role { GMEM_SOURCE, GMEM_DESTINATION };

/*
 * struct gmem_handover_options - how to begin
 * @socket: a connection of type SOCK_SEQPACKET; belongs to the handover, on success only
 * @peer: a pidfd of the other process, likewise; -1: the destination sends its own, and a
 *	destination needs none
 * @page: of a source: its state page, RUNNING; stays the caller's, which keeps it open till the end
 * @info: of a source: its view's, from gmem_memfd_facts_open(); stays the caller's, likewise
 * @least, @most: versions to speak; 0: all that the library can
 * @features, @required: what the caller can do, and what the other side must be able to do; the
 *	callers define the bits; @required is part of @features
 */
struct gmem_handover_options {
	enum gmem_role role;
	int socket;
	int peer;
	struct gmem_page *page;
	int info;
	uint32_t least;
	uint32_t most;
	uint64_t features;
	uint64_t required;
};

#define GMEM_HANDOVER_OPTIONS { .socket = -1, .peer = -1, .info = -1 }

/*
 * struct gmem_named_fd - a descriptor with a name of up to 15 characters. OFFER has three of the
 * library's own: "vm", "view", "page"
 */
struct gmem_named_fd {
	char name[16];
	int fd;
};

/*
 * struct gmem_offer - what the destination must build
 * @vm_type: KVM_X86_*
 * @nr_vcpus: how many vCPUs; they are numbered from 0 on
 * @slots: memslots; @private_fd and @shared_fd are 0 where they are the view, else -1
 * @vm, @view: the source's
 * @fds: the caller's own
 */
struct gmem_offer {
	uint64_t vm_type;
	uint32_t nr_vcpus;
	uint32_t nr_slots;
	const struct gmem_slot *slots;
	int vm;
	int view;
	uint32_t nr_fds;
	const struct gmem_named_fd *fds;
};

/*
 * A handover is a state machine that never blocks. Its owner calls gmem_handover_step() whenever
 * gmem_handover_fd() is ready for gmem_handover_events() of poll(2), or the deadline has come; or
 * it blocks in gmem_handover_wait().
 */
struct gmem_handover;

/*
 * gmem_handover_open - begin
 * @flags: 0
 *
 * Errors: EINVAL (options), ENOMEM, EMFILE, EPIPE (the other side has gone). The socket is
 * non-blocking from then on.
 */
int gmem_handover_open(struct gmem_handover **handover,
		       const struct gmem_handover_options *options, uint64_t flags);

/* gmem_handover_close - end, and close all descriptors that it owns; NULL is fine */
void gmem_handover_close(struct gmem_handover *handover);

int gmem_handover_fd(const struct gmem_handover *handover);
short gmem_handover_events(const struct gmem_handover *handover);

/* gmem_handover_peer - a pidfd of the other process, or -1 where none is known */
int gmem_handover_peer(const struct gmem_handover *handover);

/*
 * gmem_handover_deadline - set the time by which the other side must send its next message
 * @when: ns of CLOCK_MONOTONIC, or GMEM_NEVER, which is the initial value
 */
void gmem_handover_deadline(struct gmem_handover *handover, uint64_t when);

/*
 * gmem_handover_step - do what can be done now
 *
 * Returns 0: there is nothing to do yet; 1: it is the caller's turn, as gmem_handover_phase()
 * says; or -errno: the handover has failed, gmem_handover_reason() says why, and the caller must
 * call gmem_handover_end(). Errors: EPIPE (the other side has gone), ECANCELED (it gave up),
 * ETIMEDOUT, EPROTONOSUPPORT (it speaks none of our versions, or wants a feature that we do not
 * have), EBADMSG (no message, or damaged), EPROTO (a message that may not come now, or with content
 * that it may not have), EMFILE (no room for its descriptors). The descriptors of a refused message
 * are closed.
 */
int gmem_handover_step(struct gmem_handover *handover);

/* gmem_handover_wait - step until that returns something other than 0 */
int gmem_handover_wait(struct gmem_handover *handover);

/* gmem_handover_phase - get the last message that came or was sent */
enum gmem_phase gmem_handover_phase(const struct gmem_handover *handover);

/* gmem_handover_version, gmem_handover_features - get what both sides have, after HELLO */
uint32_t gmem_handover_version(const struct gmem_handover *handover);
uint64_t gmem_handover_features(const struct gmem_handover *handover);

/* gmem_handover_reason - say why it failed, for a person; printable; "" if it has not failed */
const char *gmem_handover_reason(const struct gmem_handover *handover);

/* ---- The source's turns ---- */

/*
 * gmem_handover_offer - after HELLO: send OFFER. LINKED follows.
 *
 * Descriptors stay the caller's. Errors: EINVAL (not the caller's turn; limits), EMSGSIZE,
 * EPIPE, ECANCELED (the other side gave up, and has gone).
 */
int gmem_handover_offer(struct gmem_handover *handover, const struct gmem_offer *offer);

/*
 * gmem_handover_linked_fds - after LINKED: the destination's VM and view
 *
 * They stay the handover's, and are there until it is closed.
 */
void gmem_handover_linked_fds(const struct gmem_handover *handover, int *vm, int *view);

/*
 * gmem_handover_paused - after LINKED: the guest stands still, and its devices' state is in
 *	the page. MOVED follows, and RUNNING.
 * @at: when the guest ran last, ns of CLOCK_MONOTONIC
 * @fds: more descriptors, which stay the caller's
 *
 * From here on only gmem_handover_end() says who has the guest. Errors: EINVAL, EBUSY (the page is
 * not RUNNING), EPIPE, ECANCELED (as for gmem_handover_offer()).
 */
int gmem_handover_paused(struct gmem_handover *handover, uint64_t at,
			 const struct gmem_named_fd *fds, uint32_t nr);

/* ---- The destination's turns ---- */

/* gmem_handover_offered - after OFFER: what came; it stays the handover's */
const struct gmem_offer *gmem_handover_offered(const struct gmem_handover *handover);

/*
 * gmem_handover_take - take a descriptor out of OFFER or PAUSED, by its name
 *
 * Returns the descriptor, from now on the caller's. ENOENT: none of that name is there.
 */
int gmem_handover_take(struct gmem_handover *handover, const char *name);

/* gmem_handover_page - after OFFER: the source's page */
struct gmem_page *gmem_handover_page(struct gmem_handover *handover);

/* gmem_handover_link - after OFFER: send LINKED, with the new VM and its view. PAUSED follows. */
int gmem_handover_link(struct gmem_handover *handover, int vm, int view);

/*
 * gmem_handover_begin_move - after PAUSED: win the guest
 *
 * Do everything that can fail before this call. If it returns 0, the move is the next thing to do.
 * ECANCELED: the source has taken the guest back.
 */
int gmem_handover_begin_move(struct gmem_handover *handover);

/*
 * gmem_handover_moved - after that: report the result of the move
 * @error: 0, or -errno, which makes the guest the source's again
 *
 * Returns 0, even if nobody hears of it.
 */
int gmem_handover_moved(struct gmem_handover *handover, int error);

/*
 * gmem_handover_running - after MOVED: the guest runs here. DONE follows, or the source's end.
 * @at: the time since when it runs, ns of CLOCK_MONOTONIC
 */
int gmem_handover_running(struct gmem_handover *handover, uint64_t at);

/* ---- The end ---- */

/* gmem_handover_times - of a source, after RUNNING: when the guest ran last, and first */
void gmem_handover_times(const struct gmem_handover *handover, uint64_t *last, uint64_t *first);

enum gmem_owner { GMEM_OURS, GMEM_THEIRS, GMEM_NOBODYS };

/*
 * gmem_handover_end - end the handover, and find out who has the guest
 * @error: -errno to send to the other side, if the handover has not ended by itself
 * @reason: likewise
 *
 * Sends ABORT where that is still possible. Returns an enum gmem_owner; GMEM_NOBODYS: KVM has
 * given the VM up in the move, and the guest is lost. EBUSY, for a source: the destination has
 * begun the move, lives, and has not reported the result: wait for its pidfd, or kill it, and call
 * again.
 */
int gmem_handover_end(struct gmem_handover *handover, int error, const char *reason);

#ifdef __cplusplus
}
#endif

#endif /* GMEM_PROTOCOL_H */
