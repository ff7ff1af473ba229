// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "live/publish.h"
#include "loop.h"
#include "upgrade/recover.h"
#include "upgrade/state.h"

#define FIRST	((sizeof(struct live_kept) + 7) & ~(size_t)7)

int recover_open(struct live *live, int fd)
{
	return live_adopt(live, fd);
}

static const struct live_kept *kept_of(const struct live *live)
{
	return live_area(live, LIVE_KEPT);
}

int recover_read(const struct live *live, struct upgrade_run *run, void **sections, size_t *size)
{
	size_t all = live_area_size(live, LIVE_KEPT);

	if (all < FIRST)
		return -EBADMSG;
	*run = (struct upgrade_run){
		.paused = !!live->header->paused, .shown = kept_of(live)->shown,
		.fired = !!kept_of(live)->fired,
	};
	*size = all - FIRST;
	*sections = malloc(*size + 1);
	if (!*sections)
		return -ENOMEM;
	memcpy(*sections, (const char *)kept_of(live) + FIRST, *size);
	return 0;
}

static int copy_area(const struct live *from, const struct live *to, enum live_area area)
{
	if (live_area_size(from, area) != live_area_size(to, area))
		return -EPROTO;
	memcpy(live_area(to, area), live_area(from, area), live_area_size(from, area));
	return 0;
}

int recover_tables(const struct live *live, struct machine *machine)
{
	const struct live *own = publish_page(machine);

	return own ? copy_area(live, own, LIVE_TABLES) : -ENOENT;
}

void recover_console(const struct live *live, struct loop *loop)
{
	if (live_area_size(live, LIVE_CONSOLE) == sizeof(struct terminal_memory))
		terminal_recover(&loop->terminal, live_area(live, LIVE_CONSOLE),
				 kept_of(live)->taken);
}

bool recover_was_answered(const struct live *live, unsigned int vcpu)
{
	return vcpu < LIVE_VCPUS &&
	       kept_of(live)->answered[vcpu] != live->header->cleared[vcpu];
}
