// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include <linux/kvm_gmem.h>

#include "sample.h"

static void make_memory(struct sample *sample)
{
	struct gmem_message *message = &sample->message;
	static const struct gmem_slot slots[SAMPLE_SLOTS] = {
		{ .slot = 0, .gpa = 0, .size = 0x200000,
		  .private_fd = -1, .shared_fd = 1 },
		{ .slot = 1, .flags = KVM_MEM_GUEST_MEMFD, .gpa = 0x40000000,
		  .size = 0x10000000, .private_fd = 0, .shared_fd = -1 },
		{ .slot = 7, .flags = KVM_MEM_GUEST_MEMFD, .gpa = 0x80000000,
		  .size = 0x1000, .private_offset = 0x10000000,
		  .shared_offset = 0x1ff000, .private_fd = 0, .shared_fd = 1 },
	};
	static const struct gmem_range ranges[SAMPLE_RANGES] = {
		{ 0x40000000, 0x10000000, KVM_MEMORY_ATTRIBUTE_PRIVATE },
		{ 0x80000000, 0x1000, KVM_MEMORY_ATTRIBUTE_PRIVATE },
	};

	memcpy(sample->slots, slots, sizeof(slots));
	memcpy(sample->ranges, ranges, sizeof(ranges));
	message->vm_type = KVM_X86_SW_PROTECTED_VM;
	message->nr_slots = SAMPLE_SLOTS;
	message->slots = sample->slots;
	message->nr_ranges = SAMPLE_RANGES;
	message->ranges = sample->ranges;
	message->nr_fds = 2;
	message->fds[0] = -1;
	message->fds[1] = -1;
}

/* Blobs of odd sizes; the second vCPU lacks some. */
static void make_state(struct sample *sample)
{
	struct gmem_message *message = &sample->message;
	size_t i;
	int kind;

	for (i = 0; i < sizeof(sample->blob); i++)
		sample->blob[i] = i * 7 + 1;
	for (i = 0; i < sizeof(sample->devices); i++)
		sample->devices[i] = i;
	for (i = 0; i < SAMPLE_VCPUS; i++) {
		sample->vcpus[i].id = 5 * i;
		for (kind = 0; kind < GMEM_STATE_KINDS; kind++) {
			if (i == 1 && kind % 3)
				continue;
			sample->vcpus[i].blobs[kind].data = sample->blob + i;
			sample->vcpus[i].blobs[kind].size = 1 + 11 * kind;
		}
	}
	message->nr_vcpus = SAMPLE_VCPUS;
	message->vcpus = sample->vcpus;
	message->devices = sample->devices;
	message->devices_size = sizeof(sample->devices);
}

/* All of both, and what the vCPUs share. */
static void make_snapshot(struct sample *sample)
{
	struct gmem_blob *blobs = sample->message.vm_state.blobs;
	int kind;

	make_memory(sample);
	make_state(sample);
	for (kind = 0; kind < GMEM_VM_STATE_KINDS; kind++) {
		blobs[kind].data = sample->blob + 3 * kind;
		blobs[kind].size = 1 + 13 * kind;
	}
}

void sample_make(struct sample *sample, enum gmem_message_kind kind)
{
	memset(sample, 0, sizeof(*sample));
	sample->message.kind = kind;
	if (kind == GMEM_MESSAGE_MEMORY)
		make_memory(sample);
	if (kind == GMEM_MESSAGE_STATE)
		make_state(sample);
	if (kind == GMEM_MESSAGE_SNAPSHOT)
		make_snapshot(sample);
	if (kind == GMEM_MESSAGE_ABORT) {
		sample->message.error = ENOMEM;
		strcpy(sample->message.text, "binding the guest's memory");
	}
}

static void assert_blobs_equal(const struct gmem_blob *a,
			       const struct gmem_blob *b, int kinds)
{
	int kind;

	for (kind = 0; kind < kinds; kind++) {
		assert_int_equal(a[kind].size, b[kind].size);
		assert_int_equal(!a[kind].data, !b[kind].data);
		if (a[kind].size)
			assert_memory_equal(a[kind].data, b[kind].data,
					    a[kind].size);
	}
}

void assert_messages_equal(const struct gmem_message *a,
			   const struct gmem_message *b)
{
	uint32_t i;

	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->vm_type, b->vm_type);
	assert_int_equal(a->nr_fds, b->nr_fds);
	assert_int_equal(a->nr_slots, b->nr_slots);
	if (a->nr_slots)
		assert_memory_equal(a->slots, b->slots,
				    a->nr_slots * sizeof(a->slots[0]));
	assert_int_equal(a->nr_ranges, b->nr_ranges);
	if (a->nr_ranges)
		assert_memory_equal(a->ranges, b->ranges,
				    a->nr_ranges * sizeof(a->ranges[0]));
	assert_int_equal(a->nr_vcpus, b->nr_vcpus);
	for (i = 0; i < a->nr_vcpus; i++) {
		assert_int_equal(a->vcpus[i].id, b->vcpus[i].id);
		assert_blobs_equal(a->vcpus[i].blobs, b->vcpus[i].blobs,
				   GMEM_STATE_KINDS);
	}
	assert_blobs_equal(a->vm_state.blobs, b->vm_state.blobs,
			   GMEM_VM_STATE_KINDS);
	assert_int_equal(a->devices_size, b->devices_size);
	if (a->devices_size)
		assert_memory_equal(a->devices, b->devices, a->devices_size);
	assert_int_equal(a->error, b->error);
	assert_string_equal(a->text, b->text);
}
