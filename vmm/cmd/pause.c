// SPDX-License-Identifier: MIT
/* gmem pause: a guest stands still. */
#include <stdio.h>

#include "commands.h"
#include "common/status.h"
#include "control/client.h"
#include "options.h"

int cmd_pause(int argc, char **argv)
{
	const char *name = NULL;
	long json = 0;
	const struct option_row rows[] = {
		{ .name = "NAME", .operand = true, .text = &name, .help = "of the VM" },
		{ .name = "json", .number = &json, .help = "print its answer, a JSON object" },
		{ .name = NULL },
	};
	int status = options_read(argc, argv, rows,
				  "Have a guest stand still, until 'gmem resume'.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	status = control_ask(name, control_request("pause"), ANSWER_TIMEOUT, json, NULL);
	if (!status && !json)
		printf("gmem: %s: paused\n", name);
	return status;
}
