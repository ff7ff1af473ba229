/* SPDX-License-Identifier: MIT */
/* A filter of system calls, from a table of those that are allowed. */
#ifndef VMM_COMMON_FILTER_H
#define VMM_COMMON_FILTER_H

#include <stddef.h>
#include <stdint.h>

#define FILTER_ANY	-1

/*
 * struct filter_rule - a system call that is allowed. Several rules for one call allow
 *	what any of them does
 * @call: its number
 * @argument: the argument that is looked at, or FILTER_ANY
 * @mask: the bits of it that matter, among the lower 32
 * @value: what these must be
 */
struct filter_rule {
	int call;
	int argument;
	uint32_t mask;
	uint32_t value;
};

/*
 * Allow this process, and all that it starts, no other system calls: one kills it. There
 * are no new privileges either. 0 or -errno: nothing has changed then, but that.
 */
int filter_install(const struct filter_rule *rules, size_t nr);

#endif /* VMM_COMMON_FILTER_H */
