// SPDX-License-Identifier: MIT
/*
 * Reads a message from untrusted bytes. Every length is checked against the
 * rest of the message before it is used, and no content is trusted until
 * gmem_message_check() has seen it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <gmem.h>

#include "handover/wire.h"

/* What is left to read. */
struct in {
	const char *bytes;
	size_t left;
};

/* Take @size bytes and the padding after them. NULL: there are not enough. */
static const void *get(struct in *in, size_t size)
{
	const char *start = in->bytes;
	size_t padding = -size % GMEM_WIRE_ALIGN;
	size_t i;

	if (size > in->left || padding > in->left - size)
		return NULL;
	for (i = 0; i < padding; i++)
		if (start[size + i])
			return NULL;
	in->bytes += size + padding;
	in->left -= size + padding;
	return start;
}

static int get_vm(struct gmem_message *message, const void *data, size_t size)
{
	struct wire_vm vm;

	if (size != sizeof(vm))
		return -EBADMSG;
	memcpy(&vm, data, sizeof(vm));
	message->vm_type = vm.type;
	return 0;
}

/*
 * Returns how many entries the section has. -EBADMSG if it is not a whole
 * number, or none: an empty section must be left out.
 */
static int entries(size_t size, size_t entry, uint32_t max)
{
	if (!size || size % entry)
		return -EBADMSG;
	return size / entry > max ? -EPROTO : (int)(size / entry);
}

static int get_slots(struct gmem_message *message, const void *data,
		     size_t size)
{
	int i, count = entries(size, sizeof(struct wire_slot), GMEM_MAX_SLOTS);

	if (count < 0)
		return count;
	message->slots = calloc(count, sizeof(message->slots[0]));
	if (!message->slots)
		return -ENOMEM;
	message->nr_slots = count;
	for (i = 0; i < count; i++) {
		struct wire_slot slot;

		memcpy(&slot, (const char *)data + i * sizeof(slot),
		       sizeof(slot));
		message->slots[i] = (struct gmem_slot){
			.slot = slot.slot,
			.flags = slot.flags,
			.gpa = slot.gpa,
			.size = slot.size,
			.private_offset = slot.private_offset,
			.shared_offset = slot.shared_offset,
			.private_fd = slot.private_fd,
			.shared_fd = slot.shared_fd,
		};
	}
	return 0;
}

static int get_ranges(struct gmem_message *message, const void *data,
		      size_t size)
{
	int i, count = entries(size, sizeof(struct wire_range),
			       GMEM_MAX_RANGES);

	if (count < 0)
		return count;
	message->ranges = calloc(count, sizeof(message->ranges[0]));
	if (!message->ranges)
		return -ENOMEM;
	message->nr_ranges = count;
	for (i = 0; i < count; i++) {
		struct wire_range range;

		memcpy(&range, (const char *)data + i * sizeof(range),
		       sizeof(range));
		message->ranges[i] = (struct gmem_range){
			range.gpa, range.size, range.attributes,
		};
	}
	return 0;
}

static int get_blob(struct gmem_blob *blobs, uint32_t kinds, struct in *in)
{
	const void *data = get(in, sizeof(struct wire_blob));
	struct gmem_blob *blob;
	struct wire_blob wire;

	if (!data)
		return -EBADMSG;
	memcpy(&wire, data, sizeof(wire));
	data = get(in, wire.length);
	if (!data)
		return -EBADMSG;
	if (wire.kind >= kinds || !wire.length ||
	    wire.length > GMEM_MAX_BLOB)
		return -EPROTO;
	blob = &blobs[wire.kind];
	if (blob->data)
		return -EPROTO;
	blob->data = malloc(wire.length);
	if (!blob->data)
		return -ENOMEM;
	memcpy(blob->data, data, wire.length);
	blob->size = wire.length;
	return 0;
}

static int get_vcpu(struct gmem_message *message, const void *data,
		    size_t size)
{
	struct in in = { data, size };
	struct gmem_vcpu_state *grown;
	struct wire_vcpu vcpu;
	uint32_t i;
	int ret;

	data = get(&in, sizeof(vcpu));
	if (!data)
		return -EBADMSG;
	memcpy(&vcpu, data, sizeof(vcpu));
	if (message->nr_vcpus == GMEM_MAX_VCPUS ||
	    vcpu.nr_blobs > GMEM_STATE_KINDS)
		return -EPROTO;
	grown = realloc(message->vcpus,
			(message->nr_vcpus + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	message->vcpus = grown;
	/* From here on gmem_message_free() frees what the vCPU has. */
	grown = &grown[message->nr_vcpus++];
	*grown = (struct gmem_vcpu_state){ .id = vcpu.id };
	for (i = 0; i < vcpu.nr_blobs; i++) {
		ret = get_blob(grown->blobs, GMEM_STATE_KINDS, &in);
		if (ret)
			return ret;
	}
	return in.left ? -EBADMSG : 0;
}

static int get_vm_state(struct gmem_message *message, const void *data,
			size_t size)
{
	struct in in = { data, size };
	int ret;

	do {
		ret = get_blob(message->vm_state.blobs, GMEM_VM_STATE_KINDS, &in);
	} while (!ret && in.left);
	return ret;
}

static int get_devices(struct gmem_message *message, const void *data,
		       size_t size)
{
	if (!size)
		return -EBADMSG;
	if (size > GMEM_MAX_DEVICES)
		return -EPROTO;
	message->devices = malloc(size);
	if (!message->devices)
		return -ENOMEM;
	memcpy(message->devices, data, size);
	message->devices_size = size;
	return 0;
}

static int get_abort(struct gmem_message *message, const void *data,
		     size_t size)
{
	struct wire_abort abort;

	if (size != sizeof(abort))
		return -EBADMSG;
	memcpy(&abort, data, sizeof(abort));
	if (abort.error > INT32_MAX)
		return -EPROTO;
	message->error = abort.error;
	memcpy(message->text, abort.text, sizeof(message->text));
	return 0;
}

static int (*const getters[WIRE_SECTIONS])(struct gmem_message *message,
					   const void *data, size_t size) = {
	[WIRE_VM] = get_vm,
	[WIRE_SLOTS] = get_slots,
	[WIRE_RANGES] = get_ranges,
	[WIRE_VCPU] = get_vcpu,
	[WIRE_DEVICES] = get_devices,
	[WIRE_ABORT] = get_abort,
	[WIRE_VM_STATE] = get_vm_state,
};

static int get_sections(struct gmem_message *message, struct in *in)
{
	struct wire_contents contents = gmem_wire_contents(message->kind);
	uint32_t seen = 0;

	while (in->left) {
		const void *data = get(in, sizeof(struct wire_section));
		struct wire_section section;
		uint32_t bit;
		int ret;

		if (!data)
			return -EBADMSG;
		memcpy(&section, data, sizeof(section));
		data = get(in, section.length);
		if (!data)
			return -EBADMSG;
		if (!section.type || section.type >= WIRE_SECTIONS)
			return -EPROTO;
		bit = 1U << section.type;
		if (!(bit & contents.allowed) ||
		    (bit & seen & ~contents.repeated))
			return -EPROTO;
		seen |= bit;
		ret = getters[section.type](message, data, section.length);
		if (ret)
			return ret;
	}
	return (seen & contents.required) == contents.required ? 0 : -EPROTO;
}

int gmem_message_decode(struct gmem_message *message, const void *buffer,
			size_t size)
{
	struct gmem_message found = { 0 };
	struct in in = { buffer, size };
	struct wire_header header;
	const void *data;
	uint32_t i;
	int ret;

	*message = found;
	data = get(&in, sizeof(header));
	if (!data)
		return -EBADMSG;
	memcpy(&header, data, sizeof(header));
	if (header.magic != GMEM_WIRE_MAGIC)
		return -EBADMSG;
	if (header.version != GMEM_WIRE_VERSION)
		return -EPROTONOSUPPORT;
	if (header.length > GMEM_MAX_MESSAGE - sizeof(header) ||
	    header.length != in.left)
		return -EBADMSG;
	if (!header.kind || header.kind >= GMEM_MESSAGE_KINDS ||
	    header.nr_fds > GMEM_MAX_FDS)
		return -EPROTO;

	found.kind = header.kind;
	found.nr_fds = header.nr_fds;
	for (i = 0; i < found.nr_fds; i++)
		found.fds[i] = -1;
	ret = get_sections(&found, &in);
	if (!ret)
		ret = gmem_message_check(&found);
	if (ret) {
		gmem_message_free(&found);
		return ret;
	}
	*message = found;
	return 0;
}
