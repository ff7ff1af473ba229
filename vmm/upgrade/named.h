/* SPDX-License-Identifier: MIT */
/* Descriptors that go along with a guest, with their names: docs/handover.md, OFFER and PAUSED. */
#ifndef VMM_UPGRADE_NAMED_H
#define VMM_UPGRADE_NAMED_H

#include <gmem.h>
#include <stdint.h>

#include "options.h"

#define NAMED_FDS	(2 * OPTION_VALUES + 64)

struct named_fds {
	uint32_t nr;
	struct gmem_named_fd all[NAMED_FDS];
};

/* Add a descriptor, unless it is -1; it stays the caller's. */
void named_add(struct named_fds *fds, int fd, const char *name);

/* Add one of several with a common name, numbered from 0 on. */
void named_add_nth(struct named_fds *fds, int fd, const char *name, unsigned int number);

#endif /* VMM_UPGRADE_NAMED_H */
