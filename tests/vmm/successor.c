// SPDX-License-Identifier: MIT
/*
 * Bad programs for 'gmem upgrade': each does what its name says, and leaves the guest where it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <gmem.h>

static char name[256];

static bool is(const char *what)
{
	return !strcmp(name, what);
}

/* "dies-PHASE", "hangs-PHASE" */
static void stop_at(const char *phase)
{
	char what[64];

	snprintf(what, sizeof(what), "dies-%s", phase);
	if (is(what))
		_exit(1);
	snprintf(what, sizeof(what), "hangs-%s", phase);
	while (is(what))
		pause();
}

static void give_up(struct gmem_handover *handover, const char *why)
{
	gmem_handover_end(handover, -ENOSPC, why);
	_exit(1);
}

int main(void)
{
	struct gmem_handover_options options = GMEM_HANDOVER_OPTIONS;
	struct gmem_handover *handover;
	ssize_t length = readlink("/proc/self/exe", name, sizeof(name) - 1);

	name[length > 0 ? length : 0] = '\0';
	memmove(name, strrchr(name, '/') + 1, strlen(strrchr(name, '/')));
	stop_at("started");
	options.role = GMEM_DESTINATION;
	options.socket = 3;
	options.least = is("too-old") ? 1 : is("too-new") ? 3 : 0;
	options.most = options.least;
	if (gmem_handover_open(&handover, &options, 0))
		return 1;
	while (!gmem_handover_version(handover))
		if (gmem_handover_step(handover) < 0)
			give_up(handover, "it is of another version");
	stop_at("hello");
	if (gmem_handover_wait(handover) < 0)
		return 1;
	stop_at("offer");
	if (is("refuses"))
		give_up(handover, "there is no room for it");
	gmem_handover_link(handover, 3, 3);
	stop_at("linked");
	if (gmem_handover_wait(handover) < 0)
		return 1;
	stop_at("paused");
	if (is("refuses-paused"))
		give_up(handover, "a device is not known here");
	if (gmem_handover_begin_move(handover))
		return 1;
	stop_at("moving");
	gmem_handover_moved(handover, -EINVAL);
	give_up(handover, "KVM refused the move");
	return 1;
}
