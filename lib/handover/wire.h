/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a handover message. Not public: VMMs see struct gmem_message.
 *
 * A message is a header and then sections, each a section header and its
 * content, padded with zeroes to 8 bytes. Source and destination are on one
 * host, so numbers are the host's. Descriptors come as SCM_RIGHTS with the
 * header's first byte. Any change here must change GMEM_WIRE_VERSION.
 */
#ifndef GMEM_WIRE_H
#define GMEM_WIRE_H

#include <stdint.h>

#define GMEM_WIRE_MAGIC		0x6d656d67	/* "gmem" */
#define GMEM_WIRE_VERSION	2
#define GMEM_WIRE_ALIGN		8

struct wire_header {
	uint32_t magic;
	uint16_t version;
	uint16_t kind;		/* enum gmem_message_kind */
	uint32_t length;	/* of the sections, in bytes */
	uint32_t nr_fds;
};

enum wire_section_type {
	WIRE_VM = 1,		/* struct wire_vm, once */
	WIRE_SLOTS,		/* struct wire_slot, at least one */
	WIRE_RANGES,		/* struct wire_range */
	WIRE_VCPU,		/* struct wire_vcpu, then its blobs */
	WIRE_DEVICES,		/* bytes */
	WIRE_ABORT,		/* struct wire_abort */
	WIRE_VM_STATE,		/* struct wire_blob and its content, at least one */
	WIRE_SECTIONS
};

struct wire_section {
	uint32_t type;
	uint32_t length;	/* of the content, without padding */
};

struct wire_vm {
	uint64_t type;
};

struct wire_slot {
	uint32_t slot;
	uint32_t flags;
	uint64_t gpa;
	uint64_t size;
	uint64_t private_offset;
	uint64_t shared_offset;
	int32_t private_fd;	/* index, or -1 */
	int32_t shared_fd;
};

struct wire_range {
	uint64_t gpa;
	uint64_t size;
	uint64_t attributes;
};

struct wire_vcpu {
	uint32_t id;
	uint32_t nr_blobs;
};

/* In a WIRE_VCPU or WIRE_VM_STATE section; its content follows, padded like a section's. */
struct wire_blob {
	uint32_t kind;		/* enum gmem_state_kind or gmem_vm_state_kind */
	uint32_t length;
};

struct wire_abort {
	uint32_t error;
	char text[256];		/* ends with a 0 */
};

_Static_assert(sizeof(struct wire_header) == 16, "wire layout");
_Static_assert(sizeof(struct wire_section) == 8, "wire layout");
_Static_assert(sizeof(struct wire_slot) == 48, "wire layout");
_Static_assert(sizeof(struct wire_range) == 24, "wire layout");
_Static_assert(sizeof(struct wire_abort) == 260, "wire layout");

/*
 * struct wire_contents - the sections of a kind of message, as bits of
 *	1 << enum wire_section_type
 * @allowed: those that it may have
 * @required: those that it must have
 * @repeated: those that may come more than once
 */
struct wire_contents {
	uint32_t allowed;
	uint32_t required;
	uint32_t repeated;
};

/* @kind is one: below GMEM_MESSAGE_KINDS. */
struct wire_contents gmem_wire_contents(uint32_t kind);

struct gmem_message;

/* Check that a message may have this content. Returns 0, or -EPROTO. */
int gmem_message_check(const struct gmem_message *message);

#endif /* GMEM_WIRE_H */
