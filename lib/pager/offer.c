// SPDX-License-Identifier: MIT
/*
 * How a VMM gives its pager to a page server: over a unix socket, in messages
 * of one size. Neither side trusts the other with anything else.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <gmem.h>

#include "handover/socket.h"

#define WIRE_MAGIC	0x67706d67	/* "gmpg" */
#define WIRE_VERSION	1

/* Both are on one host: numbers are the host's. */
struct wire_message {
	uint32_t magic;
	uint16_t version;
	uint16_t kind;
	uint64_t size;
	uint32_t flags;
	uint32_t error;
	char text[GMEM_PAGER_TEXT];	/* ends with a 0 */
};

_Static_assert(sizeof(struct wire_message) == 256, "wire layout");

/* The members that a message of each kind has; all others are zero. */
static const struct {
	uint32_t flags;
	bool pager;
	bool size;
	bool error;
} kinds[GMEM_PAGER_KINDS] = {
	[GMEM_PAGER_OFFER] = {
		.flags = GMEM_PAGER_SUCCEEDS, .pager = true, .size = true,
	},
	[GMEM_PAGER_REFUSED] = { .error = true },
};

static bool good_message(const struct wire_message *wire)
{
	return wire->kind && wire->kind < GMEM_PAGER_KINDS &&
	       !(wire->flags & ~kinds[wire->kind].flags) &&
	       !!wire->size == kinds[wire->kind].size &&
	       !!wire->error == kinds[wire->kind].error &&
	       wire->error <= INT32_MAX &&
	       (kinds[wire->kind].error || !wire->text[0]) &&
	       memchr(wire->text, '\0', sizeof(wire->text));
}

int gmem_pager_send(int socket, const struct gmem_pager_message *message,
		    int timeout)
{
	struct wire_message wire = {
		.magic = WIRE_MAGIC, .version = WIRE_VERSION,
		.kind = message->kind, .size = message->size,
		.flags = message->flags, .error = message->error,
	};
	bool pager = message->pager >= 0;
	ssize_t ret;

	memcpy(wire.text, message->text, sizeof(wire.text));
	if (message->kind != wire.kind || !good_message(&wire) ||
	    pager != kinds[wire.kind].pager)
		return -EINVAL;
	ret = gmem_send_bytes(socket, &wire, sizeof(wire), &message->pager,
			      pager, timeout);
	return ret < 0 ? ret : 0;
}

static int check(const struct wire_message *wire,
		 const struct gmem_arrived *arrived)
{
	if (wire->magic != WIRE_MAGIC)
		return -EBADMSG;
	if (wire->version != WIRE_VERSION)
		return -EPROTONOSUPPORT;
	if (!good_message(wire))
		return -EPROTO;
	if (arrived->cut && !arrived->count)
		return -EMFILE;
	return !arrived->cut && arrived->count == kinds[wire->kind].pager ?
	       0 : -EPROTO;
}

int gmem_pager_receive(int socket, struct gmem_pager_message *message,
		       int timeout)
{
	struct gmem_arrived arrived = { .count = 0 };
	struct wire_message wire;
	ssize_t got;
	int ret;

	*message = (struct gmem_pager_message){ .pager = -1 };
	got = gmem_receive_bytes(socket, &wire, sizeof(wire), &arrived,
				 gmem_deadline_after(timeout));
	if (got == sizeof(wire))
		ret = check(&wire, &arrived);
	else
		ret = got > 0 ? -EBADMSG : got;
	if (ret || got <= 0) {
		gmem_close_arrived(&arrived);
		return ret;
	}
	message->kind = wire.kind;
	message->size = wire.size;
	message->flags = wire.flags;
	message->error = wire.error;
	memcpy(message->text, wire.text, sizeof(message->text));
	if (arrived.count)
		message->pager = arrived.fds[0];
	return 1;
}
