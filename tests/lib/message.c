// SPDX-License-Identifier: MIT
/* Encoding and decoding handover messages, with no socket in between. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm_gmem.h>

#include "handover/wire.h"
#include "sample.h"

#define FUZZ_ROUNDS	200000

/* The bytes of a sample message. */
struct bytes {
	unsigned char *data;
	size_t size;
};

static struct bytes encode(enum gmem_message_kind kind)
{
	struct sample sample;
	void *data = NULL;
	ssize_t size;

	sample_make(&sample, kind);
	size = gmem_message_encode(&sample.message, &data);
	assert_true(size > 0);
	return (struct bytes){ data, size };
}

/*
 * Decode exactly these bytes from a buffer of exactly their size, so that the
 * address sanitizer sees a read past their end.
 */
static int decode(struct gmem_message *message, const void *data, size_t size)
{
	void *exact = malloc(size ? size : 1);
	int ret;

	assert_non_null(exact);
	memcpy(exact, data, size);
	ret = gmem_message_decode(message, exact, size);
	free(exact);
	return ret;
}

static void refuse(const void *data, size_t size, int error)
{
	struct gmem_message message;

	assert_int_equal(decode(&message, data, size), error);
	/* An error leaves nothing to free. */
	assert_int_equal(message.nr_slots + message.nr_vcpus + message.nr_fds, 0);
	assert_null(message.slots);
}

static void every_kind_comes_back_as_it_went(void **state)
{
	int kind;

	(void)state;
	for (kind = GMEM_MESSAGE_REQUEST; kind < GMEM_MESSAGE_KINDS; kind++) {
		struct bytes bytes = encode(kind);
		struct gmem_message message;
		struct sample sample;

		sample_make(&sample, kind);
		assert_int_equal(decode(&message, bytes.data, bytes.size), 0);
		assert_messages_equal(&message, &sample.message);
		gmem_message_free(&message);
		free(bytes.data);
	}
}

static void cut_short_at_every_length(void **state)
{
	int kind;

	(void)state;
	for (kind = GMEM_MESSAGE_REQUEST; kind < GMEM_MESSAGE_KINDS; kind++) {
		struct bytes bytes = encode(kind);
		size_t size;

		for (size = 0; size < bytes.size; size++)
			refuse(bytes.data, size, -EBADMSG);
		free(bytes.data);
	}
}

/* The same, with a header that claims that this is all. */
static void cut_short_with_a_length_that_agrees(void **state)
{
	static const int kinds[] = {
		GMEM_MESSAGE_MEMORY, GMEM_MESSAGE_STATE, GMEM_MESSAGE_ABORT,
		GMEM_MESSAGE_SNAPSHOT,
	};
	size_t i, size;

	(void)state;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct bytes bytes = encode(kinds[i]);
		struct wire_header header;

		for (size = sizeof(header); size < bytes.size; size++) {
			struct gmem_message message;
			int ret;

			memcpy(&header, bytes.data, sizeof(header));
			header.length = size - sizeof(header);
			memcpy(bytes.data, &header, sizeof(header));
			ret = decode(&message, bytes.data, size);
			/* Whole sections may be missing that need not be. */
			assert_true(ret == 0 || ret == -EBADMSG ||
				    ret == -EPROTO);
			gmem_message_free(&message);
		}
		free(bytes.data);
	}
}

static void bytes_behind_the_end(void **state)
{
	struct bytes bytes = encode(GMEM_MESSAGE_MEMORY);
	unsigned char *longer = calloc(1, bytes.size + 64);
	size_t more;

	(void)state;
	memcpy(longer, bytes.data, bytes.size);
	for (more = 1; more <= 64; more++)
		refuse(longer, bytes.size + more, -EBADMSG);
	free(longer);
	free(bytes.data);
}

/* Overwrite bytes at an offset and expect an error, or 0 where it is fine. */
static void overwrite(enum gmem_message_kind kind, size_t offset,
		      const void *value, size_t size, int error)
{
	struct bytes bytes = encode(kind);
	struct gmem_message message;

	assert_true(offset + size <= bytes.size);
	memcpy(bytes.data + offset, value, size);
	assert_int_equal(decode(&message, bytes.data, bytes.size), error);
	gmem_message_free(&message);
	free(bytes.data);
}

static void mutate(enum gmem_message_kind kind, size_t offset, uint32_t value,
		   int error)
{
	overwrite(kind, offset, &value, sizeof(value), error);
}

static void mutate64(enum gmem_message_kind kind, size_t offset, uint64_t value,
		     int error)
{
	overwrite(kind, offset, &value, sizeof(value), error);
}

#define HEADER(field)	offsetof(struct wire_header, field)

static void each_field_of_the_header(void **state)
{
	const int kind = GMEM_MESSAGE_MEMORY, version = GMEM_WIRE_VERSION;

	(void)state;
	mutate(kind, HEADER(magic), 0, -EBADMSG);
	mutate(kind, HEADER(version), kind << 16 | 0, -EPROTONOSUPPORT);
	mutate(kind, HEADER(version), kind << 16 | (version - 1), -EPROTONOSUPPORT);
	mutate(kind, HEADER(version), kind << 16 | (version + 1), -EPROTONOSUPPORT);
	mutate(kind, HEADER(version), version, -EPROTO);
	mutate(kind, HEADER(version), GMEM_MESSAGE_KINDS << 16 | version, -EPROTO);
	mutate(kind, HEADER(version), GMEM_MESSAGE_STATE << 16 | version, -EPROTO);
	mutate(kind, HEADER(version), GMEM_MESSAGE_LINKED << 16 | version, -EPROTO);
	mutate(kind, HEADER(length), 0, -EBADMSG);
	mutate(kind, HEADER(length), UINT32_MAX, -EBADMSG);
	mutate(kind, HEADER(length), GMEM_MAX_MESSAGE, -EBADMSG);
	mutate(kind, HEADER(nr_fds), 1, -EPROTO);
	mutate(kind, HEADER(nr_fds), 3, -EPROTO);
	mutate(kind, HEADER(nr_fds), GMEM_MAX_FDS + 1, -EPROTO);
	mutate(kind, HEADER(nr_fds), UINT32_MAX, -EPROTO);
	mutate(GMEM_MESSAGE_COMMIT, HEADER(nr_fds), 1, -EPROTO);
}

/* Where the sections of a MEMORY message are. */
#define VM_SECTION	sizeof(struct wire_header)
#define SLOTS_SECTION	(VM_SECTION + sizeof(struct wire_section) + \
			 sizeof(struct wire_vm))
#define SLOT(i)		(SLOTS_SECTION + sizeof(struct wire_section) + \
			 (i) * sizeof(struct wire_slot))
#define RANGES_SECTION	SLOT(SAMPLE_SLOTS)
#define RANGE(i)	(RANGES_SECTION + sizeof(struct wire_section) + \
			 (i) * sizeof(struct wire_range))

static void each_field_of_the_sections(void **state)
{
	int kind = GMEM_MESSAGE_MEMORY;
	size_t length = offsetof(struct wire_section, length);

	(void)state;
	mutate(kind, VM_SECTION, 0, -EPROTO);
	mutate(kind, VM_SECTION, WIRE_SECTIONS, -EPROTO);
	mutate(kind, VM_SECTION, WIRE_VCPU, -EPROTO);
	mutate(kind, VM_SECTION, WIRE_ABORT, -EPROTO);
	mutate(kind, VM_SECTION + length, 0, -EBADMSG);
	mutate(kind, VM_SECTION + length, 7, -EBADMSG);
	mutate(kind, VM_SECTION + length, UINT32_MAX, -EBADMSG);
	mutate(kind, VM_SECTION + length, UINT32_MAX - 6, -EBADMSG);
	mutate(kind, SLOTS_SECTION, WIRE_VM, -EPROTO);
	mutate(kind, SLOTS_SECTION + length, 47, -EBADMSG);
	mutate(kind, RANGES_SECTION, WIRE_SLOTS, -EPROTO);
	mutate(kind, RANGES_SECTION + length, 8, -EBADMSG);
}

static void each_field_of_a_slot(void **state)
{
	int kind = GMEM_MESSAGE_MEMORY;
	size_t slot = SLOT(1);

	(void)state;
	mutate(kind, slot + offsetof(struct wire_slot, slot), 99, 0);
	/* No private memory, but a descriptor of it. */
	mutate(kind, slot + offsetof(struct wire_slot, flags), 0, -EPROTO);
	/* Private memory, but no descriptor. */
	mutate(kind, SLOT(0) + offsetof(struct wire_slot, flags),
	       KVM_MEM_GUEST_MEMFD, -EPROTO);
	mutate(kind, slot + offsetof(struct wire_slot, gpa), 1, -EPROTO);
	mutate(kind, slot + offsetof(struct wire_slot, size), 0, -EPROTO);
	mutate(kind, slot + offsetof(struct wire_slot, size), 4095, -EPROTO);
	/* Past the end of all addresses: to 0, and beyond. */
	mutate64(kind, slot + offsetof(struct wire_slot, size), -0x40000000L,
		 -EPROTO);
	mutate64(kind, slot + offsetof(struct wire_slot, size), -0x1000L,
		 -EPROTO);
	mutate64(kind, slot + offsetof(struct wire_slot, gpa), -0x1000L,
		 -EPROTO);
	mutate(kind, slot + offsetof(struct wire_slot, private_offset), 8,
	       -EPROTO);
	mutate64(kind, slot + offsetof(struct wire_slot, private_offset),
		 -0x1000L, -EPROTO);
	mutate64(kind, slot + offsetof(struct wire_slot, shared_offset),
		 -0x10000000L, -EPROTO);
	mutate(kind, slot + offsetof(struct wire_slot, shared_offset), 8,
	       -EPROTO);
	mutate(kind, slot + offsetof(struct wire_slot, private_fd), 2, -EPROTO);
	mutate(kind, slot + offsetof(struct wire_slot, private_fd), -2, -EPROTO);
	mutate(kind, slot + offsetof(struct wire_slot, private_fd), INT32_MIN,
	       -EPROTO);
	mutate(kind, slot + offsetof(struct wire_slot, shared_fd), INT32_MAX,
	       -EPROTO);
}

static void each_field_of_a_range(void **state)
{
	int kind = GMEM_MESSAGE_MEMORY;

	(void)state;
	mutate(kind, RANGE(0) + offsetof(struct wire_range, gpa), 1, -EPROTO);
	mutate(kind, RANGE(0) + offsetof(struct wire_range, size), 0, -EPROTO);
	mutate64(kind, RANGE(1) + offsetof(struct wire_range, size), -0x1000L,
		 -EPROTO);
	mutate(kind, RANGE(1) + offsetof(struct wire_range, attributes), 0, 0);
}

#define VCPU		(sizeof(struct wire_header) + sizeof(struct wire_section))
#define BLOB		(VCPU + sizeof(struct wire_vcpu))

static void each_field_of_a_vcpu(void **state)
{
	int kind = GMEM_MESSAGE_STATE;
	size_t nr_blobs = offsetof(struct wire_vcpu, nr_blobs);
	size_t length = offsetof(struct wire_blob, length);

	(void)state;
	mutate(kind, VCPU, 77, 0);
	mutate(kind, VCPU, 5, -EPROTO);		/* the second one's id */
	mutate(kind, VCPU + nr_blobs, 0, -EBADMSG);
	mutate(kind, VCPU + nr_blobs, GMEM_STATE_KINDS - 1, -EBADMSG);
	mutate(kind, VCPU + nr_blobs, GMEM_STATE_KINDS + 1, -EPROTO);
	mutate(kind, VCPU + nr_blobs, UINT32_MAX, -EPROTO);
	mutate(kind, BLOB, GMEM_STATE_TSC_KHZ, -EPROTO);	/* twice */
	mutate(kind, BLOB, GMEM_STATE_KINDS, -EPROTO);
	mutate(kind, BLOB, UINT32_MAX, -EPROTO);
	mutate(kind, BLOB + length, 0, -EPROTO);
	mutate(kind, BLOB + length, GMEM_MAX_BLOB + 1, -EBADMSG);
	mutate(kind, BLOB + length, UINT32_MAX, -EBADMSG);
}

/* It is the last section, and its last blob 53 bytes and 3 of padding. */
static void each_field_of_the_vm_state(void **state)
{
	int kind = GMEM_MESSAGE_SNAPSHOT;
	struct bytes bytes = encode(kind);
	size_t last = bytes.size - 56 - sizeof(struct wire_blob);
	size_t length = offsetof(struct wire_blob, length);

	(void)state;
	free(bytes.data);
	mutate(kind, last, GMEM_VM_STATE_CLOCK, 0);
	mutate(kind, last, GMEM_VM_STATE_PIT, -EPROTO);	/* twice */
	mutate(kind, last, GMEM_VM_STATE_KINDS, -EPROTO);
	mutate(kind, last, UINT32_MAX, -EPROTO);
	mutate(kind, last + length, 0, -EPROTO);
	mutate(kind, last + length, 45, -EBADMSG);
	mutate(kind, last + length, GMEM_MAX_BLOB + 1, -EBADMSG);
	mutate(kind, last + length, UINT32_MAX, -EBADMSG);
}

static void abort_text_without_an_end(void **state)
{
	struct bytes bytes = encode(GMEM_MESSAGE_ABORT);
	size_t text = sizeof(struct wire_header) + sizeof(struct wire_section) +
		      offsetof(struct wire_abort, text);

	(void)state;
	memset(bytes.data + text, 'x', sizeof(((struct wire_abort *)0)->text));
	refuse(bytes.data, bytes.size, -EPROTO);
	free(bytes.data);
	mutate(GMEM_MESSAGE_ABORT, text - sizeof(uint32_t), UINT32_MAX, -EPROTO);
}

static void padding_is_zero(void **state)
{
	struct bytes bytes = encode(GMEM_MESSAGE_STATE);

	(void)state;
	/* 77 bytes of devices come last, with 3 of padding. */
	bytes.data[bytes.size - 1] = 1;
	refuse(bytes.data, bytes.size, -EBADMSG);
	free(bytes.data);
}

/* A message that cannot be received must not be sent either. */
static void bad_messages_are_not_encoded(void **state)
{
	struct sample sample;
	void *bytes = NULL;

	(void)state;
#define REFUSE(kind, change) do {					\
	sample_make(&sample, kind);					\
	change;								\
	assert_int_equal(gmem_message_encode(&sample.message, &bytes),	\
			 -EINVAL);					\
	assert_null(bytes);						\
} while (0)
	REFUSE(GMEM_MESSAGE_REQUEST, sample.message.kind = 0);
	REFUSE(GMEM_MESSAGE_REQUEST, sample.message.kind = GMEM_MESSAGE_KINDS);
	REFUSE(GMEM_MESSAGE_REQUEST, sample.message.nr_fds = 1);
	REFUSE(GMEM_MESSAGE_MEMORY, sample.message.nr_slots = 0);
	REFUSE(GMEM_MESSAGE_MEMORY,
	       sample.message.nr_slots = GMEM_MAX_SLOTS + 1);
	REFUSE(GMEM_MESSAGE_MEMORY, sample.slots[0].size = 1);
	REFUSE(GMEM_MESSAGE_MEMORY, sample.slots[0].shared_fd = 2);
	REFUSE(GMEM_MESSAGE_MEMORY, sample.ranges[0].size = 0);
	REFUSE(GMEM_MESSAGE_MEMORY, sample.message.nr_fds = 3);
	REFUSE(GMEM_MESSAGE_STATE, sample.message.nr_vcpus = 0);
	REFUSE(GMEM_MESSAGE_STATE, sample.vcpus[1].id = sample.vcpus[0].id);
	REFUSE(GMEM_MESSAGE_STATE,
	       sample.vcpus[0].blobs[1].size = GMEM_MAX_BLOB + 1);
	REFUSE(GMEM_MESSAGE_STATE,
	       sample.message.devices_size = GMEM_MAX_DEVICES + 1);
	REFUSE(GMEM_MESSAGE_SNAPSHOT, sample.message.nr_slots = 0);
	REFUSE(GMEM_MESSAGE_SNAPSHOT, sample.message.nr_vcpus = 0);
	REFUSE(GMEM_MESSAGE_SNAPSHOT, sample.message.vm_state.blobs[0].size = 0);
	REFUSE(GMEM_MESSAGE_STATE, sample.message.vm_state.blobs[0] =
	       sample.vcpus[0].blobs[0]);
	REFUSE(GMEM_MESSAGE_ABORT, sample.message.error = -ENOMEM);
	REFUSE(GMEM_MESSAGE_ABORT,
	       memset(sample.message.text, 'x', GMEM_MAX_TEXT));
#undef REFUSE
}

/*
 * Bytes with random changes either are refused, or are a message that can be
 * sent on and is then the same one.
 */
static void decode_anything(const void *data, size_t size)
{
	struct gmem_message first, second;
	void *again = NULL;
	ssize_t length;

	if (decode(&first, data, size))
		return;
	length = gmem_message_encode(&first, &again);
	assert_true(length > 0);
	assert_int_equal(decode(&second, again, length), 0);
	assert_messages_equal(&first, &second);
	gmem_message_free(&first);
	gmem_message_free(&second);
	free(again);
}

static void random_changes(void **state)
{
	static const int kinds[] = {
		GMEM_MESSAGE_MEMORY, GMEM_MESSAGE_STATE, GMEM_MESSAGE_ABORT,
		GMEM_MESSAGE_GIVEN, GMEM_MESSAGE_SNAPSHOT,
	};
	unsigned int seed = 1;
	int round;

	(void)state;
	for (round = 0; round < FUZZ_ROUNDS; round++) {
		struct bytes bytes = encode(kinds[round % 5]);
		size_t size = bytes.size;
		int changes = 1 + rand_r(&seed) % 8;

		while (changes--) {
			size_t at = rand_r(&seed) % bytes.size;

			/* Near the front are the counts and lengths. */
			if (rand_r(&seed) % 2)
				at %= 96;
			if (at >= bytes.size)
				continue;
			bytes.data[at] = rand_r(&seed) % 3 ?
				rand_r(&seed) % 16 : rand_r(&seed);
		}
		if (rand_r(&seed) % 4 == 0)
			size = rand_r(&seed) % (bytes.size + 1);
		decode_anything(bytes.data, size);
		free(bytes.data);
	}
}

static void descriptors_are_taken_once(void **state)
{
	struct bytes bytes = encode(GMEM_MESSAGE_MEMORY);
	struct gmem_message message;

	(void)state;
	assert_int_equal(decode(&message, bytes.data, bytes.size), 0);
	message.fds[0] = 1000;
	assert_int_equal(gmem_message_take_fd(&message, 0), 1000);
	assert_int_equal(gmem_message_take_fd(&message, 0), -EBADF);
	assert_int_equal(gmem_message_take_fd(&message, 1), -EBADF);
	assert_int_equal(gmem_message_take_fd(&message, 2), -EBADF);
	gmem_message_free(&message);
	free(bytes.data);
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(gmem_message_name(GMEM_MESSAGE_COMMIT), "COMMIT");
	assert_string_equal(gmem_message_name(0), "unknown");
	assert_string_equal(gmem_message_name(GMEM_MESSAGE_KINDS), "unknown");
	assert_string_equal(gmem_state_name(GMEM_STATE_MSRS), "msrs");
	assert_string_equal(gmem_state_name(GMEM_STATE_KINDS), "unknown");
	assert_string_equal(gmem_vm_state_name(GMEM_VM_STATE_PIT), "pit");
	assert_string_equal(gmem_vm_state_name(GMEM_VM_STATE_KINDS), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_comes_back_as_it_went),
		cmocka_unit_test(cut_short_at_every_length),
		cmocka_unit_test(cut_short_with_a_length_that_agrees),
		cmocka_unit_test(bytes_behind_the_end),
		cmocka_unit_test(each_field_of_the_header),
		cmocka_unit_test(each_field_of_the_sections),
		cmocka_unit_test(each_field_of_a_slot),
		cmocka_unit_test(each_field_of_a_range),
		cmocka_unit_test(each_field_of_a_vcpu),
		cmocka_unit_test(each_field_of_the_vm_state),
		cmocka_unit_test(abort_text_without_an_end),
		cmocka_unit_test(padding_is_zero),
		cmocka_unit_test(bad_messages_are_not_encoded),
		cmocka_unit_test(random_changes),
		cmocka_unit_test(descriptors_are_taken_once),
		cmocka_unit_test(names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
