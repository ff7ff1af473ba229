/* SPDX-License-Identifier: MIT */
/* libgmem: serving the missing pages of guest memory. gmem.h has the conventions. */
#ifndef GMEM_PAGER_H
#define GMEM_PAGER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kvm_gmem_event;
struct kvm_gmem_answer;
struct kvm_gmem_ring;

/* ---- A pager for missing pages (pager/pager.c) ---- */

/*
 * A pager owes an inode's missing pages: a task that needs one waits until the pager gives it. The
 * pager's descriptor can do nothing else, so it may be sent to a process that is trusted with
 * nothing but the guest's first content. To use it in an event loop, set O_NONBLOCK: it polls
 * POLLIN while there are events, and POLLHUP when the inode's last view is closed.
 */

/*
 * gmem_pager_create - make the pager of an inode
 * @view: the view that it is made from
 * @offset, @size: the range of the inode that it serves
 * @flags: KVM_GMEM_PAGER_*
 *
 * Returns the pager's descriptor. Errors: EBUSY (there is a pager, or pages are
 * owed that the one before did not serve), EINVAL (range, flags), EOPNOTSUPP (an
 * SNP VM), EMFILE, ENOMEM.
 */
int gmem_pager_create(int view, uint64_t offset, uint64_t size, uint64_t flags);

/*
 * gmem_pager_takeover - make the successor of a pager that is closed
 * @view: a view of its inode
 * @flags: KVM_GMEM_PAGER_*
 *
 * Returns the new pager's descriptor. The new pager owes what the one before did, and reads every
 * event again that was not answered. Errors: as gmem_pager_create(); EBUSY: the old pager's
 * descriptor is still open somewhere.
 */
int gmem_pager_takeover(int view, uint64_t flags);

/*
 * gmem_pager_read - read events, oldest first
 * @events: filled in
 * @max: how many there is room for, at least 1
 *
 * Waits for the first event, unless the descriptor is O_NONBLOCK. Returns how many events were
 * read, at least 1. Errors: EAGAIN (none, and O_NONBLOCK), EINTR, EPIPE (none, and the inode has no
 * view left), EPROTO (not a pager).
 */
int gmem_pager_read(int pager, struct kvm_gmem_event *events, uint32_t max);

/*
 * gmem_pager_answer - give pages their content, or say that they have none
 * @answers: carried out in order; @error and @done of each are filled in, up to
 *	the first that was not carried out in full
 * @nr: how many, at most KVM_GMEM_MAX_ANSWERS
 *
 * An answer may be for pages that nobody has asked for yet. Returns how many were carried out in
 * full; if fewer than @nr, the next answer has an error. If the first answer fails, its error is
 * returned. An answer of which only a part was carried out has EEXIST or ENOENT for the page at
 * @offset + @done: somebody else has populated it, or it is not owed (any more). Other errors:
 * EINVAL (alignment, not inside the inode, @from or @op wrong), EFAULT (@from cannot be read),
 * ENOMEM, EINTR, EPIPE (the inode has no view left).
 */
int gmem_pager_answer(int pager, struct kvm_gmem_answer *answers, uint32_t nr);

/*
 * gmem_pager_detach - detach a pager, so that nothing is owed any more
 * @force: detach even if pages are missing; these fail from now on
 * @missing: NULL, or where to store how many owed pages are missing
 *
 * Errors: EBUSY (pages are missing and @force is 0: nothing has
 * changed), EPIPE.
 */
int gmem_pager_detach(int pager, int force, uint64_t *missing);

/* ---- A pager without system calls: its ring (pager/ring.c) ---- */

/* Bytes of a buffer: a page. */
#define GMEM_RING_BUFFER	4096UL

/*
 * struct gmem_pager_ring - memory that a pager and the kernel share
 * @pager: the caller's; it stays open for as long as the ring is used
 * @entries: how many events, and how many answers, it has room for
 * @buffers: how many pages of content
 * @map, @map_size: the mapping
 * @events, @answers, @content: in it
 * @event_tail: events taken
 * @answer_head: answers put
 * @answer_seen: answers that gmem_pager_ring_done() has given back
 *
 * Only one thread may use it at a time. Answers with more content than there are buffers go through
 * gmem_pager_answer(), not the ring.
 */
struct gmem_pager_ring {
	int pager;
	uint32_t entries;
	uint32_t buffers;
	struct kvm_gmem_ring *map;
	size_t map_size;
	struct kvm_gmem_event *events;
	struct kvm_gmem_answer *answers;
	char *content;
	uint32_t event_tail;
	uint32_t answer_head;
	uint32_t answer_seen;
};

/*
 * gmem_pager_ring_open - make a pager's ring, once
 * @entries: a power of 2, at most KVM_GMEM_RING_MAX_ENTRIES
 * @buffers: pages, at most KVM_GMEM_RING_MAX_BUFFERS; may be 0
 * @poll_ns: how many nanoseconds a vCPU polls for an answer before it sleeps, at most
 *	KVM_GMEM_RING_MAX_POLL_NS
 * @ring: filled in; empty on error
 *
 * From then on events come through the ring; the descriptor polls POLLIN while it has some. Errors:
 * EINVAL, EBUSY (the pager has a ring already), ENOMEM, ENOTTY (these modules have no rings). After
 * an error that is not one of these, close the pager.
 */
int gmem_pager_ring_open(int pager, uint32_t entries, uint32_t buffers,
			 uint32_t poll_ns, struct gmem_pager_ring *ring);

/* gmem_pager_ring_close - unmap it; may be called twice */
void gmem_pager_ring_close(struct gmem_pager_ring *ring);

/*
 * gmem_pager_ring_next - take the next event, without a system call
 *
 * Returns 1, or 0 where there is none now. Errors: EPROTO (another process that
 * has the pager has written nonsense into the ring).
 */
int gmem_pager_ring_next(struct gmem_pager_ring *ring,
			 struct kvm_gmem_event *event);

/*
 * gmem_pager_ring_buffer - get a buffer for the content of answers
 * @first: number of a page
 *
 * Returns its address; the pages are contiguous. NULL: the ring has no such page. The kernel owns a
 * buffer from gmem_pager_ring_put() until gmem_pager_ring_done() has given back that answer.
 */
void *gmem_pager_ring_buffer(const struct gmem_pager_ring *ring, uint32_t first);

/*
 * gmem_pager_ring_put - put an answer, without a system call
 * @answer: its @from is an address in the ring's buffers, or 0
 *
 * Errors: EAGAIN (no room: take back answers that are done). Call gmem_pager_ring_enter()
 * afterwards, once for any number of answers.
 */
int gmem_pager_ring_put(struct gmem_pager_ring *ring,
			const struct kvm_gmem_answer *answer);

/*
 * gmem_pager_ring_enter - carry out the answers, if nobody else does
 * @always: 0: enter the kernel only if a waiter sleeps or events overflowed. Non-zero: always, for
 *	answers that nobody waits for
 *
 * Returns how many answers it has carried out, which may be none. Errors: EPIPE, EINTR.
 */
int gmem_pager_ring_enter(struct gmem_pager_ring *ring, int always);

/*
 * gmem_pager_ring_done - take back the oldest answer that was carried out
 * @answer: as it was put, with @error, positive, and @done filled in
 *
 * Returns 1, or 0 where there is none now. ENOMEM in @answer comes from the memory limit of the
 * task that carried it out: put the answer again. Errors: EPROTO, as above.
 */
int gmem_pager_ring_done(struct gmem_pager_ring *ring,
			 struct kvm_gmem_answer *answer);

/* ---- A page server of its own: the socket (pager/offer.c) ---- */

/*
 * A page server listens, with gmem_listen() or on a socket that it was given;
 * a VMM connects, offers its pager, and closes its own copy of the descriptor:
 *
 *	VMM			page server
 *	OFFER      ------------>
 *		   <------------ ACCEPTED, or REFUSED with a reason
 *		   <------------ DONE, if ever: all is there, nothing is owed
 *
 * When the connection ends without DONE, the page server is gone: the VMM makes
 * a new pager with gmem_pager_takeover(), connects again and offers that. When
 * the pager polls POLLHUP, the memory is gone.
 */
enum gmem_pager_message_kind {
	GMEM_PAGER_OFFER = 1,
	GMEM_PAGER_ACCEPTED,
	GMEM_PAGER_REFUSED,
	GMEM_PAGER_DONE,
	GMEM_PAGER_KINDS
};

/* OFFER: an earlier pager has served a part, and died. */
#define GMEM_PAGER_SUCCEEDS	(1U << 0)

#define GMEM_PAGER_TEXT		232	/* bytes, the final 0 included */

/*
 * struct gmem_pager_message - a message, to send or received
 * @kind: which one
 * @flags: OFFER: GMEM_PAGER_SUCCEEDS
 * @size: OFFER: bytes of memory, from offset 0 of the inode on
 * @pager: OFFER: the pager; else -1. A receiver finds any descriptor here
 * @error: REFUSED: a positive errno
 * @text: REFUSED: the reason, for a person
 */
struct gmem_pager_message {
	enum gmem_pager_message_kind kind;
	uint32_t flags;
	uint64_t size;
	int pager;
	int error;
	char text[GMEM_PAGER_TEXT];
};

/*
 * gmem_pager_send - send a message
 * @timeout: for the whole of it, -1 for ever
 *
 * Errors: EINVAL (not valid for a message of its kind), EPIPE (the peer has closed), ETIMEDOUT.
 */
int gmem_pager_send(int socket, const struct gmem_pager_message *message,
		    int timeout);

/*
 * gmem_pager_receive - receive a message, which may be hostile
 * @message: filled in; @pager is the caller's to close. Empty, with @pager -1,
 *	unless the result is 1.
 * @timeout: for the whole of it, -1 for ever
 *
 * Returns 1, or 0 when the peer has closed. Errors: EBADMSG (no message, or cut
 * short), EPROTONOSUPPORT (another version), EPROTO (not valid for a message of its kind, or the
 * wrong number of descriptors), EMFILE, ETIMEDOUT. No received descriptor stays open after an
 * error.
 */
int gmem_pager_receive(int socket, struct gmem_pager_message *message,
		       int timeout);

#ifdef __cplusplus
}
#endif

#endif /* GMEM_PAGER_H */
