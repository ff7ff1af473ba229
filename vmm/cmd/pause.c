// SPDX-License-Identifier: MIT
/* gmem pause: a guest stands still. */
#include "cmd/ask.h"
#include "commands.h"

int cmd_pause(int argc, char **argv)
{
	return ask_by_name(argc, argv, "pause", "Have a guest stand still, until 'gmem resume'.",
			   "paused");
}
