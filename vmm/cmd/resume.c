// SPDX-License-Identifier: MIT
/* gmem resume: a guest that was paused goes on. */
#include <stdio.h>

#include "commands.h"
#include "common/status.h"
#include "control/client.h"
#include "options.h"

int cmd_resume(int argc, char **argv)
{
	const char *name = NULL;
	long json = 0;
	const struct option_row rows[] = {
		{ .name = "NAME", .operand = true, .text = &name, .help = "of the VM" },
		{ .name = "json", .number = &json, .help = "print its answer, a JSON object" },
		{ .name = NULL },
	};
	int status = options_read(argc, argv, rows, "Have a paused guest go on.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	status = control_ask(name, control_request("resume"), ANSWER_TIMEOUT, json, NULL);
	if (!status && !json)
		printf("gmem: %s: running\n", name);
	return status;
}
