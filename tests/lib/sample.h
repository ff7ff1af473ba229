/* SPDX-License-Identifier: MIT */
/* Sample messages, one of each kind, and their comparison. */
#ifndef TESTS_LIB_SAMPLE_H
#define TESTS_LIB_SAMPLE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <gmem.h>

#define SAMPLE_SLOTS	3
#define SAMPLE_RANGES	2
#define SAMPLE_VCPUS	2

/* struct sample - a message and what it points to */
struct sample {
	struct gmem_message message;
	struct gmem_slot slots[SAMPLE_SLOTS];
	struct gmem_range ranges[SAMPLE_RANGES];
	struct gmem_vcpu_state vcpus[SAMPLE_VCPUS];
	unsigned char blob[4096];
	unsigned char devices[77];
};

/*
 * Fill in a message of @kind, as full as it can be. MEMORY has 2 descriptors,
 * -1 each: 0 is a private_fd, 1 a shared_fd.
 */
void sample_make(struct sample *sample, enum gmem_message_kind kind);

/* Fails the test unless both say the same, descriptors apart. */
void assert_messages_equal(const struct gmem_message *a,
			   const struct gmem_message *b);

#endif /* TESTS_LIB_SAMPLE_H */
