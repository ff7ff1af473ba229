/* SPDX-License-Identifier: MIT */
/* Inside the helper's process: what it is asked for, a part each. */
#ifndef VMM_HELPER_PARTS_H
#define VMM_HELPER_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/events.h"

/* The program passt: passt-program.c */

struct passt_program;

/*
 * One that is started when the VMM says so by @channel, which it has for itself. It ends
 * with that: then *left is one less. NULL: there is no memory.
 */
struct passt_program *passt_program_open(struct events *events, int channel, uint16_t mtu,
					 unsigned int *left);

#endif /* VMM_HELPER_PARTS_H */
