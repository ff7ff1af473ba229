/* SPDX-License-Identifier: MIT */
/* The bytes of a handover's messages, as in docs/handover.md. Not public. */
#ifndef GMEM_PROTOCOL_WIRE_H
#define GMEM_PROTOCOL_WIRE_H

#include <gmem.h>

#define WIRE_SESSION	16U
#define WIRE_HEADER	48U
#define WIRE_NAMES	(GMEM_HANDOVER_FDS + 3)	/* the kernel's limit is 253 */

/*
 * struct wire_message - a message, apart from its descriptors
 * @version: of all but HELLO and ABORT, which every version can read
 * @least, @most, @features, @required: HELLO
 * @vm_type, @nr_vcpus, @nr_slots, @slots: OFFER
 * @nr_names, @names: OFFER, PAUSED: of its descriptors, in their order
 * @epoch: PAUSED, MOVED: its number
 * @at: PAUSED, RUNNING: ns of CLOCK_MONOTONIC
 * @error, @text: ABORT
 */
struct wire_message {
	enum gmem_phase kind;
	uint32_t version;
	uint8_t session[WIRE_SESSION];
	uint32_t sequence;
	uint32_t nr_fds;
	uint32_t least, most;
	uint64_t features, required;
	uint64_t vm_type;
	uint32_t nr_vcpus;
	uint32_t nr_slots;
	struct gmem_slot slots[GMEM_HANDOVER_SLOTS];
	uint32_t nr_names;
	char names[WIRE_NAMES][GMEM_SECTION_NAME];
	uint64_t epoch;
	uint64_t at;
	uint32_t error;
	char text[GMEM_HANDOVER_REASON];
};

/* Into @buffer, of GMEM_HANDOVER_MESSAGE bytes. Returns its size, or -EMSGSIZE. */
ssize_t gmem_wire_encode(const struct wire_message *message, void *buffer);

/*
 * Read a message from untrusted bytes. EBADMSG: it is damaged; EPROTONOSUPPORT: it has an unknown
 * field that must be understood; EPROTO: it has content that its kind may not have.
 */
int gmem_wire_decode(struct wire_message *message, const void *buffer, size_t size);

#endif /* GMEM_PROTOCOL_WIRE_H */
