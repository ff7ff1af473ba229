// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "upgrade/named.h"

void named_add(struct named_fds *fds, int fd, const char *name)
{
	struct gmem_named_fd *next = &fds->all[fds->nr];

	if (fd < 0 || fds->nr == NAMED_FDS)
		return;
	snprintf(next->name, sizeof(next->name), "%s", name);
	next->fd = fd;
	fds->nr++;
}

void named_add_nth(struct named_fds *fds, int fd, const char *name, unsigned int number)
{
	char numbered[16];

	snprintf(numbered, sizeof(numbered), "%.10s%u", name, number % 100);
	named_add(fds, fd, numbered);
}
