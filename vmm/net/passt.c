// SPDX-License-Identifier: MIT
/*
 * A network without any privilege: the program passt opens sockets for the connections
 * of the guest. Frames pass over a UNIX socket, each behind its size as four bytes, the
 * most significant first. passt reads no other frame while one is torn: what was begun is
 * ended before anything else is sent. The helper starts passt, and gives us its connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/events.h"
#include "common/fd-message.h"
#include "common/say.h"
#include "helper/wire.h"
#include "net/port.h"

#define PREFIX		4U
#define MOST		65535U		/* bytes of a frame that passt takes or gives */
#define PIECES	258U		/* of a frame that is sent: a chain's, and the size */
#define FIRST_START	10000		/* ms: the helper gives passt half of that */

/*
 * struct passt - a connection to passt, and what was heard and said
 * @socket: the connection, or none (-1)
 * @helper: the channel to the helper, or none (-1) where that has ended
 * @number: of the connection
 * @wanted: the card takes frames
 * @full: a send was refused
 * @in, @in_from, @in_to: what was received and not yet taken
 * @out, @out_from, @out_to: the rest of a frame that was begun
 */
struct passt {
	struct net_port port;
	struct event socket;
	struct event helper;
	uint32_t number;
	bool wanted;
	bool full;
	size_t in_from, in_to;
	size_t out_from, out_to;
	uint8_t in[2 * (PREFIX + MOST)];
	uint8_t out[PREFIX + MOST];
};

static struct passt *passt_of(struct net_port *port)
{
	return (struct passt *)port;
}

/* ---- The connection ---- */

static void wait_for(struct passt *passt)
{
	bool out = passt->full || passt->out_from < passt->out_to;

	if (passt->socket.fd >= 0)
		events_change(passt->port.events, &passt->socket,
			      (passt->wanted ? EPOLLIN : 0) | (out ? EPOLLOUT : 0));
}

/* 0 or -errno: then it is closed. */
static int connected(struct passt *passt, int fd, uint32_t number)
{
	int ret;

	passt->number = number;
	passt->socket.fd = fd;
	ret = fd < 0 ? -EPROTO : events_add(passt->port.events, &passt->socket, 0);
	if (ret) {
		if (fd >= 0)
			close(fd);
		passt->socket.fd = -1;
		return ret;
	}
	passt->in_from = 0;
	passt->in_to = 0;
	passt->out_from = 0;
	passt->out_to = 0;
	passt->port.up = true;
	wait_for(passt);
	return 0;
}

static void disconnect(struct passt *passt)
{
	if (passt->socket.fd < 0)
		return;
	events_remove(passt->port.events, &passt->socket);
	close(passt->socket.fd);
	passt->socket.fd = -1;
	passt->port.up = false;
	passt->full = false;
}

/* Frames are lost until it is there again; the queue goes on. */
static void link_down(struct passt *passt)
{
	if (!passt->port.up)
		return;
	disconnect(passt);
	passt->port.card->link(passt->port.card);
	passt->port.card->ready(passt->port.card);
}

/* passt has died, or does not speak to us any more. */
static void lose(struct passt *passt)
{
	struct helper_message message = {
		.kind = HELPER_PASST_LOST, .number = passt->number,
	};

	link_down(passt);
	if (passt->helper.fd >= 0)
		helper_send(passt->helper.fd, &message, NULL, 0);
}

/* ---- Frames ---- */

/* 0: nothing is left of the frame that was begun; or -EAGAIN, or another error. */
static int flush(struct passt *passt)
{
	while (passt->out_from < passt->out_to) {
		ssize_t sent = send(passt->socket.fd, passt->out + passt->out_from,
				    passt->out_to - passt->out_from,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0)
			return -errno;
		passt->out_from += sent;
	}
	return 0;
}

static int refuse(struct passt *passt)
{
	passt->full = true;
	wait_for(passt);
	return -EAGAIN;
}

/* Keep what was not sent of these pieces. */
static void keep_rest(struct passt *passt, const struct iovec *iov, unsigned int nr,
		      size_t sent)
{
	passt->out_from = 0;
	passt->out_to = 0;
	for (; nr; nr--, iov++) {
		size_t skip = sent < iov->iov_len ? sent : iov->iov_len;

		memcpy(passt->out + passt->out_to, (char *)iov->iov_base + skip,
		       iov->iov_len - skip);
		passt->out_to += iov->iov_len - skip;
		sent -= skip;
	}
	if (passt->out_to)
		wait_for(passt);
}

static int send_frame(struct net_port *port, const struct iovec *iov, unsigned int nr,
		      size_t size)
{
	struct passt *passt = passt_of(port);
	uint32_t prefix = htonl(size - NET_HEADER);
	struct iovec pieces[PIECES] = { { .iov_base = &prefix, .iov_len = PREFIX } };
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 1 };
	size_t skip = NET_HEADER;
	ssize_t sent;

	if (passt->socket.fd < 0 || size - NET_HEADER > MOST || nr >= PIECES)
		return 0;
	if (flush(passt) == -EAGAIN)
		return refuse(passt);
	for (; nr; nr--, iov++) {
		size_t part = skip < iov->iov_len ? skip : iov->iov_len;

		pieces[message.msg_iovlen++] = (struct iovec){
			.iov_base = (char *)iov->iov_base + part,
			.iov_len = iov->iov_len - part,
		};
		skip -= part;
	}
	sent = sendmsg(passt->socket.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0)	/* another error is the connection's end, which is told apart */
		return errno == EAGAIN ? refuse(passt) : 0;
	keep_rest(passt, pieces, message.msg_iovlen, sent);
	return 0;
}

/* The size of the frame at the front of what was received; false: its beginning is torn. */
static bool front(const struct passt *passt, uint32_t *size)
{
	if (passt->in_to - passt->in_from < PREFIX)
		return false;
	memcpy(size, passt->in + passt->in_from, PREFIX);
	*size = ntohl(*size);
	return true;
}

static bool makes_sense(const struct passt *passt)
{
	uint32_t size;

	return !front(passt, &size) || (size >= NET_FRAME_LEAST && size <= MOST);
}

static size_t receive(struct net_port *port, void *buffer)
{
	struct passt *passt = passt_of(port);
	uint32_t size;

	if (!front(passt, &size) || !makes_sense(passt) ||
	    passt->in_to - passt->in_from < PREFIX + size)
		return 0;
	memset(buffer, 0, NET_HEADER);
	memcpy((uint8_t *)buffer + NET_HEADER, passt->in + passt->in_from + PREFIX, size);
	passt->in_from += PREFIX + size;
	return NET_HEADER + size;
}

/*
 * There is always room for more: the card takes all whole frames, or wants none. Returns
 * false where the connection has ended, or makes no sense.
 */
static bool hear(struct passt *passt)
{
	ssize_t got;

	memmove(passt->in, passt->in + passt->in_from, passt->in_to - passt->in_from);
	passt->in_to -= passt->in_from;
	passt->in_from = 0;
	got = recv(passt->socket.fd, passt->in + passt->in_to,
		   sizeof(passt->in) - passt->in_to, MSG_DONTWAIT);
	if (got <= 0)
		return got && (errno == EAGAIN || errno == EINTR);
	passt->in_to += got;
	passt->port.card->frames(passt->port.card);
	return makes_sense(passt);
}

static void talk(struct event *event, uint32_t ready)
{
	struct passt *passt = event->data;

	if (ready & EPOLLIN && passt->wanted ? !hear(passt) :
	    ready & (EPOLLHUP | EPOLLERR)) {
		lose(passt);
		return;
	}
	if (!(ready & EPOLLOUT) || flush(passt) == -EAGAIN)
		return;
	if (passt->full) {
		passt->full = false;
		passt->port.card->ready(passt->port.card);
	}
	wait_for(passt);
}

static void want(struct net_port *port, bool frames)
{
	struct passt *passt = passt_of(port);

	if (passt->wanted == frames)
		return;
	passt->wanted = frames;
	wait_for(passt);
}

static int offload(struct net_port *port, uint64_t features)
{
	(void)port;
	(void)features;
	return 0;
}

/* ---- The helper ---- */

static void let_helper_go(struct passt *passt)
{
	if (passt->helper.fd < 0)
		return;
	events_remove(passt->port.events, &passt->helper);
	close(passt->helper.fd);
	passt->helper.fd = -1;
}

static void up_again(struct passt *passt, int fd, uint32_t number, bool new)
{
	disconnect(passt);
	if (connected(passt, fd, number)) {
		lose(passt);
		return;
	}
	if (new)
		say("passt: it was started again: the guest's connections are lost");
	passt->port.card->link(passt->port.card);
}

static void told(struct event *event, uint32_t ready)
{
	struct passt *passt = event->data;
	struct helper_message message;
	int fds[FD_MESSAGE_FDS];

	(void)ready;
	if (helper_receive(event->fd, &message, fds) <= 0) {
		say("the helper has ended: passt can't be started again: 'gmem stop' the guest, "
		    "and start it anew");
		let_helper_go(passt);
		return;
	}
	switch (message.kind) {
	case HELPER_PASST_UP:
		up_again(passt, fds[0], message.number, !*message.text);
		break;
	case HELPER_PASST_ENDED:
		say("passt: it has ended (%s): it is started again", message.text);
		link_down(passt);
		break;
	case HELPER_PASST_FAILED:
		say("passt: there is no network: it can't be started again: %s", message.text);
		break;
	}
}

/* ---- Its beginning and end ---- */

static void close_passt(struct net_port *port)
{
	struct passt *passt = passt_of(port);

	/* The helper first: what passt says of a connection that ends is nothing to tell. */
	let_helper_go(passt);
	disconnect(passt);
	free(passt);
}

static const struct net_port_ops ops = {
	.send = send_frame, .receive = receive, .want = want, .offload = offload,
	.close = close_passt,
};

static int fail(char *why, const char *what)
{
	snprintf(why, NET_WHY, "passt: %.200s", what);
	return -1;
}

/* Before the guest runs: wait until passt is there, or can't be. */
static int begin(struct passt *passt, char *why)
{
	struct helper_message message = { .kind = HELPER_PASST_START };
	struct pollfd answer = { .fd = passt->helper.fd, .events = POLLIN };
	int fds[FD_MESSAGE_FDS], ret;

	ret = helper_send(passt->helper.fd, &message, NULL, 0);
	if (!ret && poll(&answer, 1, FIRST_START) <= 0)
		return fail(why, "its helper does not answer");
	if (ret || helper_receive(passt->helper.fd, &message, fds) <= 0)
		return fail(why, "its helper has ended");
	if (message.kind != HELPER_PASST_UP)
		return fail(why, message.text);
	ret = connected(passt, fds[0], message.number);
	if (!ret)
		ret = events_add(passt->port.events, &passt->helper, EPOLLIN);
	return ret ? fail(why, strerror(-ret)) : 0;
}

static struct passt *make(struct events *events, int *channel, char *why)
{
	struct passt *passt = calloc(1, sizeof(*passt));

	if (!passt) {
		fail(why, strerror(ENOMEM));
		return NULL;
	}
	passt->port = (struct net_port){ .ops = &ops, .events = events };
	passt->socket = (struct event){ .fd = -1, .ready = talk, .data = passt };
	passt->helper = (struct event){ .fd = *channel, .ready = told, .data = passt };
	*channel = -1;
	return passt;
}

struct net_port *passt_open(struct events *events, int *channel, char *why)
{
	struct passt *passt = make(events, channel, why);

	if (!passt)
		return NULL;
	if (!begin(passt, why))
		return &passt->port;
	close_passt(&passt->port);
	return NULL;
}

/* ---- From one VMM to the next ---- */

struct net_port *passt_adopt(struct events *events, int *channel, char *why)
{
	struct passt *passt = make(events, channel, why);
	int ret;

	if (!passt)
		return NULL;
	/* One whose helper has ended has none. */
	ret = passt->helper.fd < 0 ? 0 : events_add(events, &passt->helper, EPOLLIN);
	if (!ret)
		return &passt->port;
	fail(why, strerror(-ret));
	close_passt(&passt->port);
	return NULL;
}

bool passt_is(const struct net_port *port)
{
	return port->ops == &ops;
}

struct passt_ends passt_ends(const struct net_port *port)
{
	const struct passt *passt = (const struct passt *)port;

	return (struct passt_ends){
		.channel = passt->helper.fd, .socket = passt->socket.fd, .number = passt->number,
	};
}

static void drop_frames(struct passt *passt)
{
	uint32_t size;

	while (front(passt, &size) && makes_sense(passt) &&
	       passt->in_to - passt->in_from >= PREFIX + size)
		passt->in_from += PREFIX + size;
}

bool passt_settle(struct net_port *port)
{
	struct passt *passt = passt_of(port);
	ssize_t got = 1;

	if (passt->socket.fd < 0)
		return true;
	drop_frames(passt);
	while (got > 0 && passt->in_from < passt->in_to) {
		memmove(passt->in, passt->in + passt->in_from, passt->in_to - passt->in_from);
		passt->in_to -= passt->in_from;
		passt->in_from = 0;
		got = recv(passt->socket.fd, passt->in + passt->in_to,
			   sizeof(passt->in) - passt->in_to, MSG_DONTWAIT);
		/* Its end is told to whoever has it next. */
		if (!got)
			return true;
		if (got > 0)
			passt->in_to += got;
		drop_frames(passt);
		/* What makes no sense is not waited for: the next one ends the connection. */
		if (!makes_sense(passt))
			return true;
	}
	return passt->in_from == passt->in_to && flush(passt) != -EAGAIN;
}

int passt_connect_again(struct net_port *port)
{
	const struct helper_message message = { .kind = HELPER_PASST_START };

	return helper_send(passt_of(port)->helper.fd, &message, NULL, 0);
}

int passt_resume(struct net_port *port, int socket, uint32_t number)
{
	struct passt *passt = passt_of(port);

	disconnect(passt);
	return connected(passt, socket, number);
}
