/* SPDX-License-Identifier: MIT */
/* Memory that began private, in place (machine/private.c); machine_share() is machine.h's. */
#ifndef VMM_MACHINE_PRIVATE_H
#define VMM_MACHINE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

struct gmem_range;
struct machine;
struct machine_memory;

/* Are its pages in place, and private until somebody shares them? */
bool machine_begins_private(const struct machine *machine, const struct machine_memory *memory);

/*
 * What has not been shared of such memory, in ascending order. Returns how many ranges there
 * are, which is 0 for a guest that did not begin private; or -E2BIG: more than @most.
 */
int machine_private_ranges(const struct machine *machine, struct gmem_range *ranges,
			   uint32_t most);

/*
 * Share all of such memory that is not in @ranges, which may come from anybody. 0 or -errno:
 * -EPROTO: they are not what machine_private_ranges() says of a guest with such slots.
 */
int machine_share_rest(struct machine *machine, const struct gmem_range *ranges, uint32_t nr);

/*
 * Let the host read what is private of whole pages of a slot, or have it private again. Only
 * for a guest that stands still, and whose devices do. 0 or -errno: then all that could be
 * taken back was.
 */
int machine_expose(const struct machine *machine, const struct machine_memory *memory,
		   uint64_t offset, uint64_t size, bool exposed);

#endif /* VMM_MACHINE_PRIVATE_H */
