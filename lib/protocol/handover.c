// SPDX-License-Identifier: MIT
/*
 * Both sides of a handover. Messages say how far the other side has come. Which side has the guest
 * is never decided by a message, only by the epoch and the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <gmem.h>

#include "protocol/wire.h"

#define OWN_FDS	3U	/* of OFFER: the VM, the view and the page */

/*
 * struct gmem_handover - a side
 * @page: a source's is its caller's; a destination maps @mapped
 * @turn: it is the caller's turn, and the caller knows
 * @error: it has failed; @gone: the other side hears nothing any more
 * @sent, @received: how many messages; gives their sequence numbers
 * @buffer: of a message, both ways
 * @message: the one that came last
 * @offer, @slots: what came with OFFER; @fds: of OFFER and PAUSED, what was not taken out
 * @vm, @view: of LINKED
 * @epoch: what the source has made PAUSED
 * @moving: begin_move() has won; @moved: the move has succeeded
 * @last, @first: when the guest ran
 */
struct gmem_handover {
	enum gmem_role role;
	int socket;
	int peer;
	struct gmem_page *page;
	struct gmem_page mapped;
	int info;
	uint32_t least, most, version;
	uint64_t features, required, common;
	enum gmem_phase phase;
	bool turn;
	int error;
	bool gone;
	uint64_t deadline;
	uint32_t sent, received;
	uint8_t session[WIRE_SESSION];
	char reason[GMEM_HANDOVER_REASON];
	struct gmem_offer offer;
	struct gmem_slot slots[GMEM_HANDOVER_SLOTS];
	uint32_t nr_fds;
	struct gmem_named_fd fds[2 * WIRE_NAMES];
	int vm, view;
	uint64_t epoch;
	bool moving, moved;
	uint64_t last, first;
	struct wire_message message;
	uint8_t buffer[GMEM_HANDOVER_MESSAGE];
};

static const char *const names[GMEM_PHASES] = {
	[GMEM_PHASE_HELLO] = "HELLO", [GMEM_PHASE_OFFER] = "OFFER",
	[GMEM_PHASE_LINKED] = "LINKED", [GMEM_PHASE_PAUSED] = "PAUSED",
	[GMEM_PHASE_MOVED] = "MOVED", [GMEM_PHASE_RUNNING] = "RUNNING",
	[GMEM_PHASE_DONE] = "DONE", [GMEM_PHASE_ABORT] = "ABORT",
};

const char *gmem_phase_name(enum gmem_phase phase)
{
	return phase >= GMEM_PHASE_HELLO && phase < GMEM_PHASES ? names[phase] : "unknown";
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

__attribute__((format(printf, 3, 4)))
static int fail(struct gmem_handover *handover, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(handover->reason, sizeof(handover->reason), format, args);
	va_end(args);
	handover->error = error;
	handover->turn = false;
	return error;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_all(int *fds, uint32_t nr)
{
	while (nr)
		close(fds[--nr]);
}

/* ---- Sending ---- */

/* The socket has room if the other side has read what came before. If it has not, do not wait. */
static int send_bytes(struct gmem_handover *handover, size_t size, const int *fds, uint32_t nr)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(WIRE_NAMES * sizeof(int))];
	} control;
	struct iovec content = { handover->buffer, size };
	struct msghdr header = { .msg_iov = &content, .msg_iovlen = 1 };
	struct cmsghdr *rights;

	if (nr) {
		memset(&control, 0, sizeof(control));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(rights), fds, nr * sizeof(int));
	}
	while (sendmsg(handover->socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		if (errno != EINTR)
			return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

static int send_message(struct gmem_handover *handover, struct wire_message *message,
			const int *fds, uint32_t nr)
{
	bool for_all = message->kind == GMEM_PHASE_HELLO || message->kind == GMEM_PHASE_ABORT;
	ssize_t size;
	int ret;

	message->version = for_all ? GMEM_HANDOVER_LEAST : handover->version;
	memcpy(message->session, handover->session, WIRE_SESSION);
	message->sequence = handover->sent;
	message->nr_fds = nr;
	size = gmem_wire_encode(message, handover->buffer);
	if (size < 0)
		return size;
	ret = send_bytes(handover, size, fds, nr);
	if (ret)
		return ret;
	handover->sent++;
	handover->phase = message->kind;
	handover->turn = false;
	return 0;
}

static int receive(struct gmem_handover *handover, int *fds, uint32_t *nr);
static int take(struct gmem_handover *handover, int *fds, uint32_t nr);

/* The other side has gone: did it say why before? */
static bool has_said_why(struct gmem_handover *handover)
{
	int fds[WIRE_NAMES];
	uint32_t nr;

	if (receive(handover, fds, &nr) != 1)
		return false;
	if (handover->message.kind == GMEM_PHASE_ABORT)
		take(handover, fds, nr);
	close_all(fds, nr);
	return handover->error;
}

/* For functions that the caller calls: an error fails the handover. */
static int say(struct gmem_handover *handover, struct wire_message *message, const int *fds,
	       uint32_t nr)
{
	enum gmem_phase kind = message->kind;
	int ret = send_message(handover, message, fds, nr);

	if (ret == -EPIPE) {
		handover->gone = true;
		if (has_said_why(handover))
			return handover->error;
		return fail(handover, ret, "the other side has gone, before %s", names[kind]);
	}
	return ret ? fail(handover, ret, "sending %s: %s", names[kind], strerror(-ret)) : 0;
}

static int say_hello(struct gmem_handover *handover)
{
	struct wire_message message = {
		.kind = GMEM_PHASE_HELLO, .least = handover->least, .most = handover->most,
		.features = handover->features, .required = handover->required,
	};
	int self = handover->role == GMEM_DESTINATION ? syscall(SYS_pidfd_open, getpid(), 0) : -1;
	int ret = say(handover, &message, &self, self >= 0);

	close_fd(&self);
	return ret;
}

/* ---- What came ---- */

/* Take the descriptors out of a message: either all of them, or close them all. */
static int collect(struct msghdr *header, int *fds, uint32_t *nr)
{
	struct cmsghdr *part;
	bool cut = header->msg_flags & MSG_CTRUNC;
	size_t i, count;

	*nr = 0;
	for (part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
			if (*nr < WIRE_NAMES) {
				fds[(*nr)++] = fd;
			} else {
				close(fd);
				cut = true;
			}
		}
	}
	return cut ? -EMFILE : 0;
}

static ssize_t receive_once(int socket, struct msghdr *header)
{
	ssize_t got;

	do {
		got = recvmsg(socket, header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	return got;
}

/*
 * Returns 1 with @handover->message and *nr descriptors; 0 if nothing is there; or -errno, and
 * nothing is kept. If the other side closed without reading everything, the socket reports that
 * once, and only then gives what that side had sent before. It reports an end, too, before it gives
 * a message that has come with it, if both came after the kernel had found the queue empty.
 */
static int receive(struct gmem_handover *handover, int *fds, uint32_t *nr)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(WIRE_NAMES * sizeof(int)) + 256];
	} control;
	struct iovec content = { handover->buffer, sizeof(handover->buffer) };
	struct msghdr header = {
		.msg_iov = &content, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t got = receive_once(handover->socket, &header);
	int ret;

	if (got < 0 ? errno == ECONNRESET : !got && !header.msg_controllen) {
		header.msg_controllen = sizeof(control);
		got = receive_once(handover->socket, &header);
	}
	if (got < 0)
		return errno == EAGAIN ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
	ret = collect(&header, fds, nr);
	if (!got && !*nr)
		return -EPIPE;
	if (!ret)
		ret = header.msg_flags & MSG_TRUNC ? -EBADMSG :
		      gmem_wire_decode(&handover->message, handover->buffer, got);
	if (!ret && handover->message.nr_fds != *nr)
		ret = -EPROTO;
	if (ret)
		close_all(fds, *nr);
	return ret ? ret : 1;
}

/* ---- What it means: each takes the descriptors over, or returns an error ---- */

static int agree(struct gmem_handover *handover, const struct wire_message *message)
{
	uint32_t least = handover->least, most = handover->most;
	uint64_t missing;

	if (message->least > least)
		least = message->least;
	if (message->most < most)
		most = message->most;
	if (least > most)
		return fail(handover, -EPROTONOSUPPORT,
			    "versions %u to %u of the handover are spoken here, and %u to %u there",
			    handover->least, handover->most, message->least, message->most);
	missing = (message->required & ~handover->features) |
		  (handover->required & ~message->features);
	if (missing)
		return fail(handover, -EPROTONOSUPPORT,
			    "one side needs features of the handover that the other does not have: 0x%llx",
			    (unsigned long long)missing);
	handover->version = most;
	handover->common = message->features & handover->features;
	return 0;
}

static int got_hello(struct gmem_handover *handover, int *fds, uint32_t nr)
{
	int ret;

	if (handover->role == GMEM_DESTINATION)
		memcpy(handover->session, handover->message.session, WIRE_SESSION);
	ret = nr > 1 ? fail(handover, -EPROTO, "HELLO has too many descriptors") :
	      agree(handover, &handover->message);
	if (ret)
		return ret;
	if (nr && handover->role == GMEM_SOURCE && handover->peer < 0)
		handover->peer = fds[0];
	else
		close_all(fds, nr);
	if (handover->role == GMEM_SOURCE) {
		handover->turn = true;
		return 0;
	}
	/* The descriptors are not closed a second time. */
	say_hello(handover);
	return 0;
}

static void keep_fds(struct gmem_handover *handover, const int *fds, uint32_t from, uint32_t nr)
{
	for (; from < nr; from++) {
		struct gmem_named_fd *kept = &handover->fds[handover->nr_fds++];

		memcpy(kept->name, handover->message.names[from], sizeof(kept->name));
		kept->fd = fds[from];
	}
}

static int got_offer(struct gmem_handover *handover, int *fds, uint32_t nr)
{
	const struct wire_message *message = &handover->message;
	int ret;

	if (nr != message->nr_names || nr < OWN_FDS || strcmp(message->names[0], "vm") ||
	    strcmp(message->names[1], "view") || strcmp(message->names[2], "page"))
		return fail(handover, -EPROTO, "OFFER does not have the descriptors of a VM");
	ret = gmem_page_map(&handover->mapped, fds[2], 0);
	if (ret)
		return fail(handover, ret, "the state page: %s", strerror(-ret));
	handover->page = &handover->mapped;
	memcpy(handover->slots, message->slots, sizeof(handover->slots));
	keep_fds(handover, fds, OWN_FDS, nr);
	handover->offer = (struct gmem_offer){
		.vm_type = message->vm_type, .nr_vcpus = message->nr_vcpus,
		.nr_slots = message->nr_slots, .slots = handover->slots,
		.vm = fds[0], .view = fds[1], .nr_fds = handover->nr_fds, .fds = handover->fds,
	};
	handover->turn = true;
	return 0;
}

static int got_linked(struct gmem_handover *handover, int *fds, uint32_t nr)
{
	if (nr != 2)
		return fail(handover, -EPROTO, "LINKED does not have two descriptors");
	handover->vm = fds[0];
	handover->view = fds[1];
	handover->turn = true;
	return 0;
}

static int got_paused(struct gmem_handover *handover, int *fds, uint32_t nr)
{
	if (nr != handover->message.nr_names)
		return fail(handover, -EPROTO, "PAUSED has not the descriptors that it names");
	keep_fds(handover, fds, 0, nr);
	handover->epoch = handover->message.epoch;
	handover->last = handover->message.at;
	handover->turn = true;
	return 0;
}

static int got_moved(struct gmem_handover *handover, int *fds, uint32_t nr)
{
	struct gmem_epoch epoch;

	(void)fds;
	/* The message does not count if the epoch says otherwise. */
	if (nr || gmem_page_epoch(handover->page, &epoch) || epoch.state != GMEM_EPOCH_MOVED)
		return fail(handover, -EPROTO, "MOVED has come, which the state page denies");
	handover->moved = true;
	return 0;
}

static int got_running(struct gmem_handover *handover, int *fds, uint32_t nr)
{
	struct wire_message done = { .kind = GMEM_PHASE_DONE };

	(void)fds;
	if (nr)
		return fail(handover, -EPROTO, "RUNNING has descriptors");
	handover->first = handover->message.at;
	/* A destination that does not hear this any more runs the guest nevertheless. */
	send_message(handover, &done, NULL, 0);
	handover->phase = GMEM_PHASE_DONE;
	handover->turn = true;
	return 0;
}

static int got_done(struct gmem_handover *handover, int *fds, uint32_t nr)
{
	(void)fds;
	(void)nr;
	handover->turn = true;
	return 0;
}

static int got_abort(struct gmem_handover *handover)
{
	const struct wire_message *message = &handover->message;

	handover->gone = true;
	handover->phase = GMEM_PHASE_ABORT;
	return fail(handover, -ECANCELED, "the other side gave up: %.190s: %.40s", message->text,
		    strerror(message->error));
}

/* Each kind of message is accepted in one phase, by one side. */
static const struct {
	enum gmem_role role;
	enum gmem_phase phase;
	int (*got)(struct gmem_handover *handover, int *fds, uint32_t nr);
} steps[GMEM_PHASES] = {
	[GMEM_PHASE_OFFER] = { GMEM_DESTINATION, GMEM_PHASE_HELLO, got_offer },
	[GMEM_PHASE_LINKED] = { GMEM_SOURCE, GMEM_PHASE_OFFER, got_linked },
	[GMEM_PHASE_PAUSED] = { GMEM_DESTINATION, GMEM_PHASE_LINKED, got_paused },
	[GMEM_PHASE_MOVED] = { GMEM_SOURCE, GMEM_PHASE_PAUSED, got_moved },
	[GMEM_PHASE_RUNNING] = { GMEM_SOURCE, GMEM_PHASE_MOVED, got_running },
	[GMEM_PHASE_DONE] = { GMEM_DESTINATION, GMEM_PHASE_RUNNING, got_done },
};

/* HELLO is the first message of either side. */
static bool may_come(const struct gmem_handover *handover, enum gmem_phase kind)
{
	if (kind == GMEM_PHASE_HELLO)
		return !handover->received;
	return handover->received && steps[kind].got && steps[kind].role == handover->role &&
	       steps[kind].phase == handover->phase;
}

static int take(struct gmem_handover *handover, int *fds, uint32_t nr)
{
	const struct wire_message *message = &handover->message;
	bool first = !handover->received && handover->role == GMEM_DESTINATION;
	enum gmem_phase kind = message->kind;
	int ret;

	if (message->sequence != handover->received ||
	    (!first && memcmp(message->session, handover->session, WIRE_SESSION)))
		return fail(handover, -EPROTO, "a message of another handover, or out of order");
	if (kind == GMEM_PHASE_ABORT && !nr && handover->phase < GMEM_PHASE_MOVED)
		return got_abort(handover);
	if (kind != GMEM_PHASE_HELLO && message->version != handover->version)
		return fail(handover, -EPROTO, "a message of a version that was not agreed on");
	if (handover->turn || !may_come(handover, kind))
		return fail(handover, -EPROTO, "%s has come after %s, where it may not",
			    gmem_phase_name(kind), gmem_phase_name(handover->phase));
	handover->received++;
	ret = kind == GMEM_PHASE_HELLO ? got_hello(handover, fds, nr) :
					 steps[kind].got(handover, fds, nr);
	if (ret)
		return ret;
	if (handover->phase < kind)
		handover->phase = kind;
	return 0;
}

/* ---- Stepping ---- */

static bool is_gone(int pidfd)
{
	struct pollfd gone = { .fd = pidfd, .events = POLLIN };

	return pidfd >= 0 && poll(&gone, 1, 0) > 0;
}

/* For a destination that has the guest, the source's end is as good as its DONE. */
static int ended(struct gmem_handover *handover)
{
	handover->gone = true;
	if (handover->role == GMEM_DESTINATION && handover->moved) {
		handover->turn = handover->phase != GMEM_PHASE_DONE;
		handover->phase = GMEM_PHASE_DONE;
		return handover->turn;
	}
	return fail(handover, -EPIPE, "the other side has gone, after %s",
		    gmem_phase_name(handover->phase));
}

int gmem_handover_step(struct gmem_handover *handover)
{
	bool gone = is_gone(handover->peer), told = handover->turn;
	int fds[WIRE_NAMES];
	uint32_t nr = 0;
	int ret;

	if (handover->error)
		return handover->error;
	if (handover->phase == GMEM_PHASE_DONE)
		return 0;
	ret = receive(handover, fds, &nr);
	if (ret == -EPIPE || (!ret && gone))
		return ended(handover);
	if (!ret && !handover->turn && now() >= handover->deadline)
		return fail(handover, -ETIMEDOUT, "the other side says nothing, after %s",
			    gmem_phase_name(handover->phase));
	if (ret < 0)
		return fail(handover, ret, "the message after %s: %s",
			    gmem_phase_name(handover->phase), strerror(-ret));
	if (!ret)
		return 0;
	ret = take(handover, fds, nr);
	if (ret)
		close_all(fds, nr);
	if (handover->error)
		return handover->error;
	/* MOVED informs the source, which need not do anything. */
	return (handover->turn && !told) || handover->phase == GMEM_PHASE_MOVED;
}

static int milliseconds_to(uint64_t deadline)
{
	uint64_t from = now();

	if (deadline == GMEM_NEVER)
		return -1;
	if (deadline <= from)
		return 0;
	return deadline - from > 1000000000000ULL ? 1000000 : (deadline - from + 999999) / 1000000;
}

int gmem_handover_wait(struct gmem_handover *handover)
{
	struct pollfd wait[2] = {
		{ .fd = handover->socket, .events = POLLIN },
		{ .fd = handover->peer, .events = POLLIN },
	};
	int ret;

	while (!(ret = gmem_handover_step(handover))) {
		if (handover->phase == GMEM_PHASE_DONE)
			return 1;
		wait[1].fd = handover->peer;
		poll(wait, 2, milliseconds_to(handover->deadline));
	}
	return ret;
}

int gmem_handover_fd(const struct gmem_handover *handover)
{
	return handover->socket;
}

short gmem_handover_events(const struct gmem_handover *handover)
{
	(void)handover;
	return POLLIN;
}

int gmem_handover_peer(const struct gmem_handover *handover)
{
	return handover->peer;
}

void gmem_handover_deadline(struct gmem_handover *handover, uint64_t when)
{
	handover->deadline = when;
}

enum gmem_phase gmem_handover_phase(const struct gmem_handover *handover)
{
	return handover->phase;
}

uint32_t gmem_handover_version(const struct gmem_handover *handover)
{
	return handover->version;
}

uint64_t gmem_handover_features(const struct gmem_handover *handover)
{
	return handover->common;
}

const char *gmem_handover_reason(const struct gmem_handover *handover)
{
	return handover->reason;
}

/* ---- The source's turns ---- */

static bool is_turn(const struct gmem_handover *handover, enum gmem_role role,
		    enum gmem_phase phase)
{
	return !handover->error && handover->role == role && handover->turn &&
	       handover->phase == phase;
}

static bool is_name(const char *name)
{
	size_t length = strnlen(name, GMEM_SECTION_NAME);

	return length && length < GMEM_SECTION_NAME;
}

/* Append to the *nr descriptors that are there. */
static int add_fds(struct wire_message *message, int *fds, uint32_t *nr,
		   const struct gmem_named_fd *more, uint32_t nr_more)
{
	uint32_t i;

	if (nr_more > WIRE_NAMES - *nr)
		return -EINVAL;
	for (i = 0; i < nr_more; i++) {
		if (!is_name(more[i].name) || more[i].fd < 0)
			return -EINVAL;
		strcpy(message->names[*nr], more[i].name);
		fds[(*nr)++] = more[i].fd;
	}
	message->nr_names = *nr;
	return 0;
}

int gmem_handover_offer(struct gmem_handover *handover, const struct gmem_offer *offer)
{
	const struct gmem_named_fd own[OWN_FDS] = {
		{ "vm", offer->vm }, { "view", offer->view }, { "page", handover->page ?
								handover->page->fd : -1 },
	};
	struct wire_message *message = &handover->message;
	int fds[WIRE_NAMES], ret;
	uint32_t nr = 0;

	if (!is_turn(handover, GMEM_SOURCE, GMEM_PHASE_HELLO) || !offer->nr_vcpus ||
	    !offer->nr_slots || offer->nr_slots > GMEM_HANDOVER_SLOTS)
		return -EINVAL;
	memset(message, 0, sizeof(*message));
	message->kind = GMEM_PHASE_OFFER;
	message->vm_type = offer->vm_type;
	message->nr_vcpus = offer->nr_vcpus;
	message->nr_slots = offer->nr_slots;
	memcpy(message->slots, offer->slots, offer->nr_slots * sizeof(*offer->slots));
	ret = add_fds(message, fds, &nr, own, OWN_FDS);
	if (!ret)
		ret = add_fds(message, fds, &nr, offer->fds, offer->nr_fds);
	return ret ? ret : say(handover, message, fds, nr);
}

void gmem_handover_linked_fds(const struct gmem_handover *handover, int *vm, int *view)
{
	*vm = handover->vm;
	*view = handover->view;
}

int gmem_handover_paused(struct gmem_handover *handover, uint64_t at,
			 const struct gmem_named_fd *more, uint32_t nr_more)
{
	struct wire_message *message = &handover->message;
	struct gmem_epoch from, to;
	int fds[WIRE_NAMES], ret;
	uint32_t nr = 0;

	if (!is_turn(handover, GMEM_SOURCE, GMEM_PHASE_LINKED))
		return -EINVAL;
	memset(message, 0, sizeof(*message));
	ret = add_fds(message, fds, &nr, more, nr_more);
	if (ret)
		return ret;
	if (gmem_page_epoch(handover->page, &from) || from.state != GMEM_EPOCH_RUNNING)
		return -EBUSY;
	/* Never reuse a number: a former destination may still wait for it. */
	to = (struct gmem_epoch){ from.number + 2, GMEM_EPOCH_PAUSED };
	ret = gmem_page_swap(handover->page, from, to);
	if (ret)
		return ret;
	handover->epoch = to.number;
	handover->last = at;
	message->kind = GMEM_PHASE_PAUSED;
	message->epoch = to.number;
	message->at = at;
	return say(handover, message, fds, nr);
}

void gmem_handover_times(const struct gmem_handover *handover, uint64_t *last, uint64_t *first)
{
	*last = handover->last;
	*first = handover->first;
}

/* ---- The destination's turns ---- */

const struct gmem_offer *gmem_handover_offered(const struct gmem_handover *handover)
{
	return &handover->offer;
}

int gmem_handover_take(struct gmem_handover *handover, const char *name)
{
	uint32_t i;
	int fd;

	for (i = 0; i < handover->nr_fds; i++) {
		fd = handover->fds[i].fd;
		if (fd < 0 || strncmp(handover->fds[i].name, name, GMEM_SECTION_NAME))
			continue;
		handover->fds[i].fd = -1;
		return fd;
	}
	return -ENOENT;
}

struct gmem_page *gmem_handover_page(struct gmem_handover *handover)
{
	return handover->page;
}

int gmem_handover_link(struct gmem_handover *handover, int vm, int view)
{
	struct wire_message message = { .kind = GMEM_PHASE_LINKED };
	const int fds[2] = { vm, view };

	if (!is_turn(handover, GMEM_DESTINATION, GMEM_PHASE_OFFER) || vm < 0 || view < 0)
		return -EINVAL;
	return say(handover, &message, fds, 2);
}

int gmem_handover_begin_move(struct gmem_handover *handover)
{
	const struct gmem_epoch from = { handover->epoch, GMEM_EPOCH_PAUSED };
	const struct gmem_epoch to = { handover->epoch + 1, GMEM_EPOCH_MOVING };
	int ret;

	if (!is_turn(handover, GMEM_DESTINATION, GMEM_PHASE_PAUSED) || handover->moving)
		return -EINVAL;
	ret = gmem_page_swap(handover->page, from, to);
	if (ret)
		return fail(handover, -ECANCELED, "the source has taken the guest back");
	handover->moving = true;
	return 0;
}

int gmem_handover_moved(struct gmem_handover *handover, int error)
{
	const struct gmem_epoch from = { handover->epoch + 1, GMEM_EPOCH_MOVING };
	const struct gmem_epoch to = { handover->epoch + 1, error ? GMEM_EPOCH_PAUSED :
							   GMEM_EPOCH_MOVED };
	struct wire_message message = { .kind = GMEM_PHASE_MOVED, .epoch = to.number };

	if (!handover->moving || handover->moved)
		return -EINVAL;
	gmem_page_swap(handover->page, from, to);
	if (error)
		return 0;
	handover->moved = true;
	handover->gone |= !!send_message(handover, &message, NULL, 0);
	handover->phase = GMEM_PHASE_MOVED;
	handover->turn = true;
	return 0;
}

int gmem_handover_running(struct gmem_handover *handover, uint64_t at)
{
	struct wire_message message = { .kind = GMEM_PHASE_RUNNING, .at = at };

	if (!is_turn(handover, GMEM_DESTINATION, GMEM_PHASE_MOVED))
		return -EINVAL;
	handover->gone |= !!send_message(handover, &message, NULL, 0);
	handover->phase = GMEM_PHASE_RUNNING;
	handover->turn = false;
	return 0;
}

/* ---- Beginning and end ---- */

static void give_up(struct gmem_handover *handover, int error, const char *reason)
{
	struct wire_message message = {
		.kind = GMEM_PHASE_ABORT, .error = -(handover->error ? handover->error : error),
	};

	if (handover->gone || handover->moved || handover->phase == GMEM_PHASE_DONE)
		return;
	if (!handover->error)
		fail(handover, error ? error : -ECANCELED, "%s", reason ? reason : "it gave up");
	message.error = -handover->error;
	snprintf(message.text, sizeof(message.text), "%s", handover->reason);
	send_message(handover, &message, NULL, 0);
	/* Whether the other side hears this or not, send nothing more. */
	handover->gone = true;
}

/* MOVING belongs to the destination's process: only if that is dead, the move is given up. */
static int ask_kernel(struct gmem_handover *handover, struct gmem_epoch epoch)
{
	const struct gmem_epoch back = { epoch.number, GMEM_EPOCH_RUNNING };
	bool gone = handover->peer >= 0 ? is_gone(handover->peer) : handover->error == -EPIPE;
	int fate = gmem_vm_fate(handover->info);

	if (fate == GMEM_VM_MOVED)
		return GMEM_THEIRS;
	if (fate == GMEM_VM_BROKEN)
		return GMEM_NOBODYS;
	if (!gone)
		return -EBUSY;
	if (fate < 0)
		return fate;
	return gmem_page_swap(handover->page, epoch, back) ? -EAGAIN : GMEM_OURS;
}

static int take_back(struct gmem_handover *handover)
{
	struct gmem_epoch epoch, back;
	int ret = -EAGAIN;

	while (ret == -EAGAIN) {
		ret = gmem_page_epoch(handover->page, &epoch);
		if (ret)	/* somebody scribbled over the page: ask the kernel */
			return gmem_vm_fate(handover->info) == GMEM_VM_MOVED ? GMEM_THEIRS : ret;
		back = (struct gmem_epoch){ epoch.number, GMEM_EPOCH_RUNNING };
		switch (epoch.state) {
		case GMEM_EPOCH_RUNNING:
			return GMEM_OURS;
		case GMEM_EPOCH_PAUSED:
			ret = gmem_page_swap(handover->page, epoch, back) ? -EAGAIN : GMEM_OURS;
			break;
		case GMEM_EPOCH_MOVING:
			ret = ask_kernel(handover, epoch);
			break;
		case GMEM_EPOCH_MOVED:
			return GMEM_THEIRS;
		}
	}
	return ret;
}

int gmem_handover_end(struct gmem_handover *handover, int error, const char *reason)
{
	int owner;

	if (handover->role == GMEM_DESTINATION) {
		give_up(handover, error, reason);
		return handover->moved ? GMEM_OURS : GMEM_THEIRS;
	}
	/* Do this first, so that a destination that hears ABORT cannot win any more. */
	owner = take_back(handover);
	if (owner == GMEM_OURS)
		give_up(handover, error, reason);
	return owner;
}

void gmem_handover_close(struct gmem_handover *handover)
{
	uint32_t i;

	if (!handover)
		return;
	for (i = 0; i < handover->nr_fds; i++)
		close_fd(&handover->fds[i].fd);
	close_fd(&handover->offer.vm);
	close_fd(&handover->offer.view);
	close_fd(&handover->vm);
	close_fd(&handover->view);
	close_fd(&handover->peer);
	close_fd(&handover->socket);
	gmem_page_close(&handover->mapped);
	free(handover);
}

static bool are_good(const struct gmem_handover_options *options)
{
	bool source = options->role == GMEM_SOURCE;
	int type = 0;
	socklen_t size = sizeof(type);

	return options->role <= GMEM_DESTINATION && options->least <= options->most &&
	       !(options->required & ~options->features) && source == !!options->page &&
	       (!source || options->info >= 0) &&
	       !getsockopt(options->socket, SOL_SOCKET, SO_TYPE, &type, &size) &&
	       type == SOCK_SEQPACKET;
}

int gmem_handover_open(struct gmem_handover **out, const struct gmem_handover_options *options,
		       uint64_t flags)
{
	struct gmem_handover *handover;
	int ret = 0;

	if (flags || !are_good(options))
		return -EINVAL;
	handover = calloc(1, sizeof(*handover));
	if (!handover)
		return -ENOMEM;
	handover->role = options->role;
	handover->socket = options->socket;
	handover->peer = options->peer;
	handover->page = options->page;
	handover->info = options->info;
	handover->least = options->least ? options->least : GMEM_HANDOVER_LEAST;
	handover->most = options->most ? options->most : GMEM_HANDOVER_MOST;
	handover->features = options->features;
	handover->required = options->required;
	handover->deadline = GMEM_NEVER;
	handover->phase = GMEM_PHASE_HELLO;
	handover->mapped.fd = -1;
	handover->offer.vm = -1;
	handover->offer.view = -1;
	handover->vm = -1;
	handover->view = -1;
	if (options->role == GMEM_SOURCE) {
		if (getrandom(handover->session, WIRE_SESSION, GRND_NONBLOCK) != WIRE_SESSION)
			ret = -EAGAIN;
		if (!ret)
			ret = say_hello(handover);
	}
	if (ret) {
		free(handover);
		return ret;
	}
	*out = handover;
	return 0;
}
