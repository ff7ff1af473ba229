// SPDX-License-Identifier: MIT
/* Checks what a handover message may contain, and lays one out for the socket. */
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gmem.h>

#include "handover/wire.h"

#define GMEM_PAGE_SIZE	4096ULL
#define BIT(n)		(1U << (n))

static const struct {
	const char *name;
	struct wire_contents contents;
} kinds[GMEM_MESSAGE_KINDS] = {
	[GMEM_MESSAGE_REQUEST] = { "REQUEST", { 0, 0, 0 } },
	[GMEM_MESSAGE_MEMORY] = { "MEMORY", {
		.allowed = BIT(WIRE_VM) | BIT(WIRE_SLOTS) | BIT(WIRE_RANGES),
		.required = BIT(WIRE_VM) | BIT(WIRE_SLOTS),
	} },
	[GMEM_MESSAGE_LINKED] = { "LINKED", { 0, 0, 0 } },
	[GMEM_MESSAGE_STATE] = { "STATE", {
		.allowed = BIT(WIRE_VCPU) | BIT(WIRE_DEVICES),
		.required = BIT(WIRE_VCPU),
		.repeated = BIT(WIRE_VCPU),
	} },
	[GMEM_MESSAGE_COMMIT] = { "COMMIT", { 0, 0, 0 } },
	[GMEM_MESSAGE_GIVEN] = { "GIVEN", { 0, 0, 0 } },
	[GMEM_MESSAGE_RUNNING] = { "RUNNING", { 0, 0, 0 } },
	[GMEM_MESSAGE_ABORT] = { "ABORT", {
		.allowed = BIT(WIRE_ABORT), .required = BIT(WIRE_ABORT),
	} },
	[GMEM_MESSAGE_SNAPSHOT] = { "SNAPSHOT", {
		.allowed = BIT(WIRE_VM) | BIT(WIRE_SLOTS) | BIT(WIRE_RANGES) |
			   BIT(WIRE_VCPU) | BIT(WIRE_DEVICES) | BIT(WIRE_VM_STATE),
		.required = BIT(WIRE_VM) | BIT(WIRE_SLOTS) | BIT(WIRE_VCPU),
		.repeated = BIT(WIRE_VCPU),
	} },
};

const char *gmem_message_name(enum gmem_message_kind kind)
{
	return kind > 0 && kind < GMEM_MESSAGE_KINDS ? kinds[kind].name :
						       "unknown";
}

struct wire_contents gmem_wire_contents(uint32_t kind)
{
	return kinds[kind].contents;
}

/* ---- What a message may say ---- */

static bool good_range(uint64_t start, uint64_t size)
{
	return !((start | size) % GMEM_PAGE_SIZE) && size &&
	       start + size > start;
}

static bool good_fd(int32_t index, uint32_t nr_fds)
{
	return index == -1 || (index >= 0 && (uint32_t)index < nr_fds);
}

static bool good_slot(const struct gmem_slot *slot, uint32_t nr_fds)
{
	bool private = slot->flags & KVM_MEM_GUEST_MEMFD;

	return good_range(slot->gpa, slot->size) &&
	       good_range(slot->private_offset, slot->size) &&
	       good_range(slot->shared_offset, slot->size) &&
	       good_fd(slot->private_fd, nr_fds) &&
	       good_fd(slot->shared_fd, nr_fds) &&
	       private == (slot->private_fd >= 0);
}

/* Nobody would close a descriptor that no slot uses. */
static bool all_fds_used(const struct gmem_message *message)
{
	bool used[GMEM_MAX_FDS] = { false };
	uint32_t i;

	for (i = 0; i < message->nr_slots; i++) {
		if (message->slots[i].private_fd >= 0)
			used[message->slots[i].private_fd] = true;
		if (message->slots[i].shared_fd >= 0)
			used[message->slots[i].shared_fd] = true;
	}
	for (i = 0; i < message->nr_fds; i++)
		if (!used[i])
			return false;
	return true;
}

static bool good_blobs(const struct gmem_blob *blobs, int kinds)
{
	int kind;

	for (kind = 0; kind < kinds; kind++) {
		const struct gmem_blob *blob = &blobs[kind];

		if (!!blob->data != !!blob->size || blob->size > GMEM_MAX_BLOB)
			return false;
	}
	return true;
}

static bool good_vcpus(const struct gmem_message *message)
{
	uint32_t i, j;

	for (i = 0; i < message->nr_vcpus; i++) {
		if (!good_blobs(message->vcpus[i].blobs, GMEM_STATE_KINDS))
			return false;
		for (j = 0; j < i; j++)
			if (message->vcpus[i].id == message->vcpus[j].id)
				return false;
	}
	return true;
}

int gmem_message_check(const struct gmem_message *message)
{
	uint32_t i;

	if (message->kind <= 0 || message->kind >= GMEM_MESSAGE_KINDS ||
	    message->nr_fds > GMEM_MAX_FDS ||
	    message->nr_slots > GMEM_MAX_SLOTS ||
	    message->nr_ranges > GMEM_MAX_RANGES ||
	    message->nr_vcpus > GMEM_MAX_VCPUS ||
	    message->devices_size > GMEM_MAX_DEVICES)
		return -EPROTO;
	for (i = 0; i < message->nr_slots; i++)
		if (!good_slot(&message->slots[i], message->nr_fds))
			return -EPROTO;
	for (i = 0; i < message->nr_ranges; i++)
		if (!good_range(message->ranges[i].gpa,
				message->ranges[i].size))
			return -EPROTO;
	if (!all_fds_used(message) || !good_vcpus(message) ||
	    !good_blobs(message->vm_state.blobs, GMEM_VM_STATE_KINDS))
		return -EPROTO;
	if (message->error < 0 ||
	    !memchr(message->text, '\0', sizeof(message->text)))
		return -EPROTO;
	return 0;
}

/* ---- Laying out ---- */

/*
 * @error is sticky: a message is put together without a test after each piece,
 * and the error is checked once at the end.
 */
struct out {
	char *bytes;
	size_t used;
	size_t space;
	int error;
};

static void put(struct out *out, const void *data, size_t size)
{
	size_t padded = (size + GMEM_WIRE_ALIGN - 1) &
			~(size_t)(GMEM_WIRE_ALIGN - 1);

	if (out->error)
		return;
	if (out->used + padded > GMEM_MAX_MESSAGE) {
		out->error = -EINVAL;
		return;
	}
	if (out->used + padded > out->space) {
		size_t space = 2 * (out->used + padded);
		char *bytes = realloc(out->bytes, space);

		if (!bytes) {
			out->error = -ENOMEM;
			return;
		}
		out->bytes = bytes;
		out->space = space;
	}
	if (size)
		memcpy(out->bytes + out->used, data, size);
	memset(out->bytes + out->used + size, 0, padded - size);
	out->used += padded;
}

static void put_section(struct out *out, uint32_t type, const void *data,
			size_t size)
{
	struct wire_section section = { .type = type, .length = size };

	put(out, &section, sizeof(section));
	put(out, data, size);
}

static void put_memory(struct out *out, const struct gmem_message *message)
{
	struct wire_vm vm = { .type = message->vm_type };
	struct wire_section section = {
		.type = WIRE_SLOTS,
		.length = message->nr_slots * sizeof(struct wire_slot),
	};
	uint32_t i;

	put_section(out, WIRE_VM, &vm, sizeof(vm));
	put(out, &section, sizeof(section));
	for (i = 0; i < message->nr_slots; i++) {
		const struct gmem_slot *from = &message->slots[i];
		struct wire_slot slot = {
			.slot = from->slot,
			.flags = from->flags,
			.gpa = from->gpa,
			.size = from->size,
			.private_offset = from->private_offset,
			.shared_offset = from->shared_offset,
			.private_fd = from->private_fd,
			.shared_fd = from->shared_fd,
		};

		put(out, &slot, sizeof(slot));
	}
	if (!message->nr_ranges)
		return;
	section.type = WIRE_RANGES;
	section.length = message->nr_ranges * sizeof(struct wire_range);
	put(out, &section, sizeof(section));
	for (i = 0; i < message->nr_ranges; i++) {
		struct wire_range range = {
			.gpa = message->ranges[i].gpa,
			.size = message->ranges[i].size,
			.attributes = message->ranges[i].attributes,
		};

		put(out, &range, sizeof(range));
	}
}

static uint32_t count_blobs(const struct gmem_blob *blobs, int kinds)
{
	uint32_t count = 0;
	int kind;

	for (kind = 0; kind < kinds; kind++)
		count += !!blobs[kind].data;
	return count;
}

static void put_blobs(struct out *out, const struct gmem_blob *blobs, int kinds)
{
	int kind;

	for (kind = 0; kind < kinds; kind++) {
		struct wire_blob blob = {
			.kind = kind, .length = blobs[kind].size,
		};

		if (!blob.length)
			continue;
		put(out, &blob, sizeof(blob));
		put(out, blobs[kind].data, blob.length);
	}
}

/* Set the header of a section whose length is known only when it is complete. */
static void put_length(struct out *out, size_t section_at, uint32_t type)
{
	struct wire_section section = { .type = type };

	if (out->error)
		return;
	section.length = out->used - section_at - sizeof(section);
	memcpy(out->bytes + section_at, &section, sizeof(section));
}

static void put_vcpu(struct out *out, const struct gmem_vcpu_state *state)
{
	struct wire_vcpu vcpu = {
		.id = state->id,
		.nr_blobs = count_blobs(state->blobs, GMEM_STATE_KINDS),
	};
	size_t section_at = out->used;

	put_section(out, WIRE_VCPU, NULL, 0);
	put(out, &vcpu, sizeof(vcpu));
	put_blobs(out, state->blobs, GMEM_STATE_KINDS);
	put_length(out, section_at, WIRE_VCPU);
}

static void put_vm_state(struct out *out, const struct gmem_vm_state *state)
{
	size_t section_at = out->used;

	if (!count_blobs(state->blobs, GMEM_VM_STATE_KINDS))
		return;
	put_section(out, WIRE_VM_STATE, NULL, 0);
	put_blobs(out, state->blobs, GMEM_VM_STATE_KINDS);
	put_length(out, section_at, WIRE_VM_STATE);
}

static void put_state(struct out *out, const struct gmem_message *message)
{
	uint32_t i;

	for (i = 0; i < message->nr_vcpus; i++)
		put_vcpu(out, &message->vcpus[i]);
	if (message->devices_size)
		put_section(out, WIRE_DEVICES, message->devices,
			    message->devices_size);
	put_vm_state(out, &message->vm_state);
}

static void put_abort(struct out *out, const struct gmem_message *message)
{
	struct wire_abort abort = { .error = message->error };

	memcpy(abort.text, message->text, sizeof(abort.text));
	put_section(out, WIRE_ABORT, &abort, sizeof(abort));
}

ssize_t gmem_message_encode(const struct gmem_message *message, void **buffer)
{
	struct wire_header header = {
		.magic = GMEM_WIRE_MAGIC,
		.version = GMEM_WIRE_VERSION,
		.kind = message->kind,
		.nr_fds = message->nr_fds,
	};
	bool snapshot = message->kind == GMEM_MESSAGE_SNAPSHOT;
	bool memory = snapshot || message->kind == GMEM_MESSAGE_MEMORY;
	bool state = snapshot || message->kind == GMEM_MESSAGE_STATE;
	struct out out = { 0 };

	if (gmem_message_check(message) || memory != !!message->nr_slots ||
	    state != !!message->nr_vcpus ||
	    (!snapshot && count_blobs(message->vm_state.blobs, GMEM_VM_STATE_KINDS)))
		return -EINVAL;
	put(&out, &header, sizeof(header));
	if (memory)
		put_memory(&out, message);
	if (state)
		put_state(&out, message);
	if (message->kind == GMEM_MESSAGE_ABORT)
		put_abort(&out, message);
	if (out.error) {
		free(out.bytes);
		return out.error;
	}
	header.length = out.used - sizeof(header);
	memcpy(out.bytes, &header, sizeof(header));
	*buffer = out.bytes;
	return out.used;
}

/* ---- What a message owns ---- */

void gmem_message_free(struct gmem_message *message)
{
	uint32_t i;

	for (i = 0; i < message->nr_vcpus; i++)
		gmem_vcpu_state_free(&message->vcpus[i]);
	gmem_vm_state_free(&message->vm_state);
	for (i = 0; i < message->nr_fds; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	free(message->slots);
	free(message->ranges);
	free(message->vcpus);
	free(message->devices);
	*message = (struct gmem_message){ 0 };
}

int gmem_message_take_fd(struct gmem_message *message, uint32_t index)
{
	int fd;

	if (index >= message->nr_fds || message->fds[index] < 0)
		return -EBADF;
	fd = message->fds[index];
	message->fds[index] = -1;
	return fd;
}
