/* SPDX-License-Identifier: MIT */
/* Memory that began private, in place (machine/private.c); machine_share() is machine.h's. */
#ifndef VMM_MACHINE_PRIVATE_H
#define VMM_MACHINE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

struct gmem_range;
struct machine;
struct machine_memory;

/* Does the memory have its pages in place, private until somebody shares them? */
bool machine_begins_private(const struct machine *machine, const struct machine_memory *memory);

/*
 * The ranges of such memory that have not been shared, in ascending order. Returns how many there
 * are, which is 0 for a guest that did not begin private; or -E2BIG: more than @most.
 */
int machine_private_ranges(const struct machine *machine, struct gmem_range *ranges,
			   uint32_t most);

/*
 * Share all of such memory that is not in @ranges, which are untrusted. Returns 0 or -errno;
 * -EPROTO: machine_private_ranges() cannot have returned them for a guest with such slots.
 */
int machine_share_rest(struct machine *machine, const struct gmem_range *ranges, uint32_t nr);

/*
 * Let the host read the private pages in a range of a slot, or make them private again. The guest
 * and its devices must stand still. Returns 0, or -errno; then everything that could be undone is
 * undone.
 */
int machine_expose(const struct machine *machine, const struct machine_memory *memory,
		   uint64_t offset, uint64_t size, bool exposed);

#endif /* VMM_MACHINE_PRIVATE_H */
