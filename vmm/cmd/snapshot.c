// SPDX-License-Identifier: MIT
/* gmem snapshot: keep a running guest in a directory. */
#include <errno.h>
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
#include "snapshot/files.h"
#include "snapshot/snapshot.h"

/*
 * Make the path absolute, since anybody may read the VM's messages about it. Returns 0, or the
 * status to exit with.
 */
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

static int ask(const char *name, const char *path, int dir, struct snapshot_fds *files,
	       bool exposes, bool json)
{
	struct json_object *request = control_request("snapshot"), *answer = NULL;
	const int fds[] = { files->memory, files->state };
	char why[CONTROL_WHY];
	int socket = control_connect(name, why), ret = socket, status;

	json_object_object_add(request, "path", json_object_new_string(path));
	if (exposes)
		json_object_object_add(request, "expose_private", json_object_new_boolean(true));
	if (socket >= 0) {
		ret = control_exchange_with(socket, request, fds, 2, SNAPSHOT_TIMEOUT, &answer,
					    why);
		close(socket);
	}
	json_object_put(request);
	/* The VM may claim success, and have written nothing. */
	if (!ret && answer_is_ok(answer) && snapshot_check_kept(dir)) {
		snprintf(why, sizeof(why), "it says that it is kept, and has not written it: "
			 "its VMM is not to be trusted");
		ret = -EBADMSG;
	}
	status = ret < 0 ? control_say_failed(name, why, json) :
			   control_judge(name, answer, json);
	json_object_put(answer);
	return status;
}

/*
 * The VM gets two files, and need not be able to make any. If this command is ended while it waits,
 * the VM writes them to the end.
 */
static int keep(const char *name, const char *path, bool exposes, bool json)
{
	struct snapshot_files files = { .dir = -1 };
	struct snapshot_fds fds;
	char why[CONTROL_WHY];
	int status, ret = snapshot_files_make(&files, path, &fds);

	if (ret) {
		snprintf(why, sizeof(why), "making the snapshot's directory, %.256s: %s%s", path,
			 strerror(-ret), ret != -EEXIST ? "" :
			 ": name a directory that is not there");
		return control_say_failed(name, why, json);
	}
	status = ask(name, path, files.dir, &fds, exposes, json);
	close(fds.memory);
	close(fds.state);
	if (status)
		snapshot_files_drop(&files);
	else
		snapshot_files_keep(&files);
	return status;
}

int cmd_snapshot(int argc, char **argv)
{
	const char *name = NULL, *path = NULL;
	char absolute[CONTROL_PATH];
	long json = 0, exposes = 0;
	const struct option_row rows[] = {
		{ .name = "NAME", .operand = true, .text = &name, .help = "of the VM" },
		{ .name = "DIR", .operand = true, .text = &path,
		  .help = "a directory that is not there yet" },
		{ .name = "expose-private", .number = &exposes,
		  .help = "of a private guest: write its memory, for all who read DIR" },
		{ .name = "json", .number = &json, .help = "print its answer, a JSON object" },
		{ .name = NULL },
	};
	int status = options_read(argc, argv, rows,
				  "Keep a guest in a directory, for 'gmem restore'; it goes on.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	status = make_absolute(path, absolute, sizeof(absolute));
	if (status)
		return status;
	status = keep(name, absolute, exposes, json);
	if (!status && !json)
		printf("gmem: %s: kept in %s\n", name, absolute);
	return status;
}
