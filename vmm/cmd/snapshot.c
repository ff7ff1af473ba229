// SPDX-License-Identifier: MIT
/* gmem snapshot: keep a running guest in a directory. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "common/status.h"
#include "control/client.h"
#include "control/request.h"
#include "options.h"

/* The VM has a working directory of its own. 0, or the status to exit with. */
static int make_absolute(const char *path, char *absolute, size_t size)
{
	char here[PATH_MAX] = "";
	int length;

	if (*path != '/' && !getcwd(here, sizeof(here))) {
		perror("gmem: finding the current directory");
		return EXIT_FAILED;
	}
	length = snprintf(absolute, size, "%s%s%s", here, *here ? "/" : "", path);
	if (*path && length < (int)size)
		return 0;
	return options_wrong("snapshot", "DIR: '%.32s...' is too long, or nothing", path);
}

int cmd_snapshot(int argc, char **argv)
{
	const char *name = NULL, *path = NULL;
	char absolute[CONTROL_PATH];
	long json = 0;
	const struct option_row rows[] = {
		{ .name = "NAME", .operand = true, .text = &name, .help = "of the VM" },
		{ .name = "DIR", .operand = true, .text = &path,
		  .help = "a directory that is not there yet" },
		{ .name = "json", .number = &json, .help = "print its answer, a JSON object" },
		{ .name = NULL },
	};
	struct json_object *request;
	int status = options_read(argc, argv, rows,
				  "Keep a guest in a directory, for 'gmem restore'; it goes on.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	status = make_absolute(path, absolute, sizeof(absolute));
	if (status)
		return status;
	request = control_request("snapshot");
	json_object_object_add(request, "path", json_object_new_string(absolute));
	status = control_ask(name, request, SNAPSHOT_TIMEOUT, json, NULL);
	if (!status && !json)
		printf("gmem: %s: kept in %s\n", name, absolute);
	return status;
}
