// SPDX-License-Identifier: MIT
/* gmem stop: ask a guest to shut down, and wait until it has. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "common/status.h"
#include "control/client.h"
#include "control/names.h"
#include "control/request.h"
#include "options.h"

int cmd_stop(int argc, char **argv)
{
	const char *name = NULL;
	long json = 0, timeout = 60;
	const struct option_row rows[] = {
		{ .name = "NAME", .operand = true, .text = &name, .help = "of the VM" },
		{ .name = "timeout", .argument = "S", .number = &timeout,
		  .least = 0, .most = 86400,
		  .help = "seconds that the guest may take to shut down (60)" },
		{ .name = "json", .number = &json, .help = "print its answer, a JSON object" },
		{ .name = NULL },
	};
	struct json_object *answer = NULL;
	char why[CONTROL_WHY];
	int pidfd, ret;
	int status = options_read(argc, argv, rows,
				  "Press a guest's power button, and wait until it has shut down.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	/* Open it before the VM is asked: its end counts, not its answer. */
	pidfd = vm_open_process(name, why);
	status = control_ask(name, control_request("stop"), ANSWER_TIMEOUT, json, &answer);
	if (status) {
		if (pidfd >= 0)
			close(pidfd);
		return status;
	}
	if (strcmp(answer_text(answer, "how"), "asked"))
		fprintf(stderr, "gmem: %s: it has no power button: it is ended as it stands\n",
			name);
	json_object_put(answer);
	ret = control_wait_gone(name, pidfd, timeout * 1000);
	if (pidfd >= 0)
		close(pidfd);
	if (!ret)
		return EXIT_DONE;
	snprintf(why, sizeof(why), "the guest has not shut down in %ld s: 'gmem kill %s' ends it",
		 timeout, name);
	return control_say_failed(name, why, json);
}
