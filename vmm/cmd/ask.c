// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "cmd/ask.h"
#include "common/status.h"
#include "control/client.h"
#include "options.h"

int ask_by_name(int argc, char **argv, const char *request, const char *about,
		const char *done)
{
	const char *name = NULL;
	long json = 0;
	const struct option_row rows[] = {
		{ .name = "NAME", .operand = true, .text = &name, .help = "of the VM" },
		{ .name = "json", .number = &json, .help = "print its answer, a JSON object" },
		{ .name = NULL },
	};
	int status = options_read(argc, argv, rows, about);

	if (status)
		return status < 0 ? EXIT_DONE : status;
	status = control_ask(name, control_request(request), ANSWER_TIMEOUT, json, NULL);
	if (!status && !json)
		printf("gmem: %s: %s\n", name, done);
	return status;
}
