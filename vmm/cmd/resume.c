// SPDX-License-Identifier: MIT
/* gmem resume: a guest that was paused goes on. */
#include "cmd/ask.h"
#include "commands.h"

int cmd_resume(int argc, char **argv)
{
	return ask_by_name(argc, argv, "resume", "Have a paused guest go on.", "running");
}
