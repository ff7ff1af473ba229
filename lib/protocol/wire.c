// SPDX-License-Identifier: MIT
/*
 * A message is a header of 48 bytes and then fields: type, flags and length in 8 bytes, and a
 * content that is padded with zeroes to 8. Unknown fields are skipped, unless they have
 * FIELD_REQUIRED.
 */
#include <errno.h>
#include <stdbool.h>

#include "protocol/bytes.h"
#include "protocol/wire.h"

#define MAGIC		0x32686d67U	/* "gmh2" */
#define FIELD_HEADER	8U
#define FIELD_REQUIRED	1U
#define SLOT		48U
#define PAGE		4096U

enum { AT_MAGIC = 0, AT_VERSION = 4, AT_KIND = 6, AT_SESSION = 8, AT_SEQUENCE = 24,
	AT_LENGTH = 28, AT_FDS = 32, AT_CHECKSUM = 36, AT_RESERVED = 40 };

enum field { FIELD_RANGE = 1, FIELD_FEATURES, FIELD_VM, FIELD_SLOTS, FIELD_NAMES, FIELD_EPOCH,
	FIELD_TIME, FIELD_REASON, FIELDS };

#define BIT(field) (1U << (field))

/* The fields of a message of each kind: it has all of them, each once. */
static const uint32_t contents[GMEM_PHASES] = {
	[GMEM_PHASE_HELLO] = BIT(FIELD_RANGE) | BIT(FIELD_FEATURES),
	[GMEM_PHASE_OFFER] = BIT(FIELD_VM) | BIT(FIELD_SLOTS) | BIT(FIELD_NAMES),
	[GMEM_PHASE_LINKED] = 0,
	[GMEM_PHASE_PAUSED] = BIT(FIELD_EPOCH) | BIT(FIELD_TIME) | BIT(FIELD_NAMES),
	[GMEM_PHASE_MOVED] = BIT(FIELD_EPOCH),
	[GMEM_PHASE_RUNNING] = BIT(FIELD_TIME),
	[GMEM_PHASE_DONE] = 0,
	[GMEM_PHASE_ABORT] = BIT(FIELD_REASON),
};

/* ---- To bytes ---- */

static size_t size_of(const struct wire_message *message, enum field field)
{
	switch (field) {
	case FIELD_RANGE:
	case FIELD_EPOCH:
	case FIELD_TIME:
		return 8;
	case FIELD_FEATURES:
	case FIELD_VM:
		return 16;
	case FIELD_SLOTS:
		return message->nr_slots * SLOT;
	case FIELD_NAMES:
		return message->nr_names * GMEM_SECTION_NAME;
	case FIELD_REASON:
		return 4 + strnlen(message->text, GMEM_HANDOVER_REASON - 1);
	default:
		return 0;
	}
}

static void put_slot(uint8_t *to, const struct gmem_slot *slot)
{
	put32(to, slot->slot);
	put32(to + 4, slot->flags);
	put64(to + 8, slot->gpa);
	put64(to + 16, slot->size);
	put64(to + 24, slot->private_offset);
	put64(to + 32, slot->shared_offset);
	put32(to + 40, slot->private_fd);
	put32(to + 44, slot->shared_fd);
}

static void put_field(uint8_t *to, const struct wire_message *message, enum field field)
{
	uint32_t i;

	switch (field) {
	case FIELD_RANGE:
		put32(to, message->least);
		put32(to + 4, message->most);
		break;
	case FIELD_FEATURES:
		put64(to, message->features);
		put64(to + 8, message->required);
		break;
	case FIELD_VM:
		put64(to, message->vm_type);
		put32(to + 8, message->nr_vcpus);
		break;
	case FIELD_SLOTS:
		for (i = 0; i < message->nr_slots; i++)
			put_slot(to + i * SLOT, &message->slots[i]);
		break;
	case FIELD_NAMES:
		memcpy(to, message->names, size_of(message, field));
		break;
	case FIELD_EPOCH:
		put64(to, message->epoch);
		break;
	case FIELD_TIME:
		put64(to, message->at);
		break;
	case FIELD_REASON:
		put32(to, message->error);
		memcpy(to + 4, message->text, size_of(message, field) - 4);
		break;
	default:
		break;
	}
}

ssize_t gmem_wire_encode(const struct wire_message *message, void *buffer)
{
	uint8_t *bytes = buffer;
	size_t used = WIRE_HEADER;
	enum field field;

	memset(buffer, 0, GMEM_HANDOVER_MESSAGE);
	for (field = FIELD_RANGE; field < FIELDS; field++) {
		size_t size = size_of(message, field);

		if (!(contents[message->kind] & BIT(field)))
			continue;
		if (FIELD_HEADER + PADDED(size) > GMEM_HANDOVER_MESSAGE - used)
			return -EMSGSIZE;
		put16(bytes + used, field);
		put16(bytes + used + 2, FIELD_REQUIRED);
		put32(bytes + used + 4, size);
		put_field(bytes + used + FIELD_HEADER, message, field);
		used += FIELD_HEADER + PADDED(size);
	}
	put32(bytes + AT_MAGIC, MAGIC);
	put16(bytes + AT_VERSION, message->version);
	put16(bytes + AT_KIND, message->kind);
	memcpy(bytes + AT_SESSION, message->session, WIRE_SESSION);
	put32(bytes + AT_SEQUENCE, message->sequence);
	put32(bytes + AT_LENGTH, used - WIRE_HEADER);
	put32(bytes + AT_FDS, message->nr_fds);
	put32(bytes + AT_CHECKSUM, gmem_checksum(0, bytes, used));
	return used;
}

/* ---- From bytes ---- */

static void get_slot(const uint8_t *from, struct gmem_slot *slot)
{
	*slot = (struct gmem_slot){
		.slot = get32(from), .flags = get32(from + 4), .gpa = get64(from + 8),
		.size = get64(from + 16), .private_offset = get64(from + 24),
		.shared_offset = get64(from + 32), .private_fd = get32(from + 40),
		.shared_fd = get32(from + 44),
	};
}

static bool fits(uint64_t begin, uint64_t size)
{
	return !(begin % PAGE) && begin <= INT64_MAX && size <= INT64_MAX - begin;
}

static bool is_slot(const struct gmem_slot *slot)
{
	return slot->size && !(slot->size % PAGE) && fits(slot->gpa, slot->size) &&
	       fits(slot->private_offset, slot->size) && fits(slot->shared_offset, slot->size) &&
	       slot->private_fd >= -1 && slot->private_fd <= 0 &&
	       slot->shared_fd >= -1 && slot->shared_fd <= 0;
}

static int get_slots(struct wire_message *message, const uint8_t *from, size_t size)
{
	uint32_t i;

	if (!size || size % SLOT || size / SLOT > GMEM_HANDOVER_SLOTS)
		return -EPROTO;
	message->nr_slots = size / SLOT;
	for (i = 0; i < message->nr_slots; i++) {
		get_slot(from + i * SLOT, &message->slots[i]);
		if (!is_slot(&message->slots[i]))
			return -EPROTO;
	}
	return 0;
}

/* Each name ends with a 0, and comes once. */
static int get_names(struct wire_message *message, const uint8_t *from, size_t size)
{
	uint32_t i, j;

	if (size % GMEM_SECTION_NAME || size / GMEM_SECTION_NAME > WIRE_NAMES)
		return -EPROTO;
	message->nr_names = size / GMEM_SECTION_NAME;
	memcpy(message->names, from, size);
	for (i = 0; i < message->nr_names; i++) {
		size_t length = strnlen(message->names[i], GMEM_SECTION_NAME);

		if (!length || length == GMEM_SECTION_NAME)
			return -EPROTO;
		for (j = 0; j < i; j++)
			if (!strcmp(message->names[i], message->names[j]))
				return -EPROTO;
	}
	return 0;
}

static int get_reason(struct wire_message *message, const uint8_t *from, size_t size)
{
	size_t i;

	if (size < 4 || size - 4 >= GMEM_HANDOVER_REASON)
		return -EPROTO;
	message->error = get32(from);
	memcpy(message->text, from + 4, size - 4);
	message->text[size - 4] = '\0';
	/* It is shown to a person, on a terminal. */
	for (i = 0; message->text[i]; i++)
		if (message->text[i] < ' ' || message->text[i] > '~')
			message->text[i] = '?';
	return message->error && message->error < 4096 ? 0 : -EPROTO;
}

static int get_field(struct wire_message *message, enum field field, const uint8_t *from,
		     size_t size)
{
	if (field < FIELD_SLOTS || field == FIELD_EPOCH || field == FIELD_TIME)
		if (size != size_of(message, field))
			return -EPROTO;
	switch (field) {
	case FIELD_RANGE:
		message->least = get32(from);
		message->most = get32(from + 4);
		return message->least && message->least <= message->most ? 0 : -EPROTO;
	case FIELD_FEATURES:
		message->features = get64(from);
		message->required = get64(from + 8);
		return message->required & ~message->features ? -EPROTO : 0;
	case FIELD_VM:
		message->vm_type = get64(from);
		message->nr_vcpus = get32(from + 8);
		return message->nr_vcpus && !get32(from + 12) ? 0 : -EPROTO;
	case FIELD_SLOTS:
		return get_slots(message, from, size);
	case FIELD_NAMES:
		return get_names(message, from, size);
	case FIELD_EPOCH:
		message->epoch = get64(from);
		return 0;
	case FIELD_TIME:
		message->at = get64(from);
		return 0;
	case FIELD_REASON:
		return get_reason(message, from, size);
	default:
		return -EPROTO;
	}
}

static int get_fields(struct wire_message *message, const uint8_t *bytes, size_t size)
{
	uint32_t came = 0;
	int ret;

	while (size) {
		uint16_t type, flags;
		uint32_t length;

		if (size < FIELD_HEADER)
			return -EBADMSG;
		type = get16(bytes);
		flags = get16(bytes + 2);
		length = get32(bytes + 4);
		if (length > size || PADDED(length) > size - FIELD_HEADER)
			return -EBADMSG;
		if (type && type < FIELDS && contents[message->kind] & BIT(type)) {
			ret = came & BIT(type) ? -EPROTO :
			      get_field(message, type, bytes + FIELD_HEADER, length);
			if (ret)
				return ret;
			came |= BIT(type);
		} else if (flags & FIELD_REQUIRED) {
			return -EPROTONOSUPPORT;
		}
		bytes += FIELD_HEADER + PADDED(length);
		size -= FIELD_HEADER + PADDED(length);
	}
	return came == contents[message->kind] ? 0 : -EPROTO;
}

static bool is_whole(const uint8_t *bytes, size_t size)
{
	uint8_t header[WIRE_HEADER];
	uint32_t crc;

	if (size < WIRE_HEADER || get32(bytes + AT_MAGIC) != MAGIC ||
	    get32(bytes + AT_LENGTH) != size - WIRE_HEADER)
		return false;
	memcpy(header, bytes, sizeof(header));
	put32(header + AT_CHECKSUM, 0);
	crc = gmem_checksum(0, header, sizeof(header));
	return gmem_checksum(crc, bytes + WIRE_HEADER, size - WIRE_HEADER) ==
	       get32(bytes + AT_CHECKSUM);
}

int gmem_wire_decode(struct wire_message *message, const void *buffer, size_t size)
{
	const uint8_t *bytes = buffer;
	uint16_t kind;

	memset(message, 0, sizeof(*message));
	if (!is_whole(bytes, size))
		return -EBADMSG;
	kind = get16(bytes + AT_KIND);
	if (kind < GMEM_PHASE_HELLO || kind >= GMEM_PHASES || get64(bytes + AT_RESERVED))
		return -EPROTO;
	message->kind = kind;
	message->version = get16(bytes + AT_VERSION);
	memcpy(message->session, bytes + AT_SESSION, WIRE_SESSION);
	message->sequence = get32(bytes + AT_SEQUENCE);
	message->nr_fds = get32(bytes + AT_FDS);
	return get_fields(message, bytes + WIRE_HEADER, size - WIRE_HEADER);
}
