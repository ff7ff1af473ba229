/* SPDX-License-Identifier: MIT */
/* A filter of system calls, from a table of those that are allowed. */
#ifndef VMM_COMMON_FILTER_H
#define VMM_COMMON_FILTER_H

#include <stddef.h>
#include <stdint.h>

#define FILTER_ANY	-1

/*
 * struct filter_rule - a system call that is allowed. If there are several rules for a call, one of
 * them must allow it
 * @call: its number
 * @argument: the argument that is checked, or FILTER_ANY
 * @mask: the bits of it that matter
 * @value: what these must be
 * @error: if not 0, the call fails with this instead, and does not kill the process
 * @next: bits that the argument after @argument must not have
 */
struct filter_rule {
	int call;
	int argument;
	uint64_t mask;
	uint64_t value;
	int error;
	uint64_t next;
};

/*
 * A call is allowed; with this argument; with NULL for it; without these bits of it; with
 * it, and without these bits of the one behind it; or it fails.
 */
#define FILTER_ALLOW(call)	{ SYS_##call, FILTER_ANY, 0, 0, 0, 0 }
#define FILTER_WITH(call, argument, value) { SYS_##call, argument, ~0U, value, 0, 0 }
#define FILTER_NULL(call, argument) { SYS_##call, argument, ~0ULL, 0, 0, 0 }
#define FILTER_WITHOUT(call, argument, bits) { SYS_##call, argument, bits, 0, 0, 0 }
#define FILTER_WITH_BUT(call, argument, value, bits) \
	{ SYS_##call, argument, ~0U, value, 0, bits }
#define FILTER_FAILS(call, error) { SYS_##call, FILTER_ANY, 0, 0, error, 0 }

/*
 * Allow this process, all of its threads, and all processes that it starts, no other system calls:
 * any other call kills the process. It gets no new privileges either. Returns 0 or -errno; then
 * nothing else has changed.
 */
int filter_install(const struct filter_rule *rules, size_t nr);

#endif /* VMM_COMMON_FILTER_H */
