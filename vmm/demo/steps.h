/* SPDX-License-Identifier: MIT */
/* The demonstration's output about the handover: steps with times, and sums. */
#ifndef VMM_DEMO_STEPS_H
#define VMM_DEMO_STEPS_H

#include <gmem.h>

#include "common/child.h"

void demo_show_steps(const struct child *a, const struct child *b);
void demo_show_sums(const struct child *a, const struct child *b,
		    const struct gmem_facts *before,
		    const struct gmem_facts *after);

#endif /* VMM_DEMO_STEPS_H */
