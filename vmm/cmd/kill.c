// SPDX-License-Identifier: MIT
/* gmem kill: end a guest as it stands. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "commands.h"
#include "common/say.h"
#include "common/status.h"
#include "control/client.h"
#include "control/names.h"
#include "control/request.h"
#include "options.h"

#define PATIENCE	2000	/* ms */
#define DEATH		30000	/* ms: the kernel frees its memory first */

/* What it is asked, it does in an orderly way: a terminal gets its settings back. */
static bool ends_if_asked(const char *name)
{
	struct json_object *request = control_request("kill"), *answer = NULL;
	char why[CONTROL_WHY];
	int socket = control_connect(name, why);
	int ret = socket < 0 ? socket : control_exchange(socket, request, PATIENCE, &answer, why);

	if (socket >= 0)
		close(socket);
	json_object_put(request);
	json_object_put(answer);
	return !ret && !control_wait_gone(name, PATIENCE);
}

/*
 * The pidfd first, the name again then: it is still the process that has the name, not
 * a later one of that number. 0 or -errno.
 */
static int kill_by_pid(const char *name, char *why)
{
	pid_t pid, again;
	int pidfd, ret = vm_find(name, &pid, why);

	if (ret)
		return ret == -ESRCH ? 0 : ret;
	pidfd = pid > 0 ? syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pidfd < 0) {
		snprintf(why, CONTROL_WHY, "its process is not known");
		return -ESRCH;
	}
	ret = vm_find(name, &again, why);
	if (!ret && again == pid && syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0))
		ret = -errno;
	close(pidfd);
	if (ret == -EPERM)
		snprintf(why, CONTROL_WHY, "process %d: not permitted: use the VM's user, or root",
			 (int)pid);
	return ret == -ESRCH ? 0 : ret;
}

int cmd_kill(int argc, char **argv)
{
	const char *name = NULL;
	long json = 0;
	const struct option_row rows[] = {
		{ .name = "NAME", .operand = true, .text = &name, .help = "of the VM" },
		{ .name = "json", .number = &json, .help = "print what came of it, a JSON object" },
		{ .name = NULL },
	};
	char why[CONTROL_WHY];
	pid_t pid;
	int status = options_read(argc, argv, rows,
				  "End a guest as it stands, as pulling the plug does.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	if (vm_find(name, &pid, why))
		return control_say_failed(name, why, json);
	if (!ends_if_asked(name)) {
		if (kill_by_pid(name, why))
			return control_say_failed(name, why, json);
		if (control_wait_gone(name, DEATH))
			return control_say_failed(name, "it was killed, and is there still", json);
	}
	if (json)
		printf("{\"ok\":true}\n");
	else
		printf("gmem: %s: ended\n", name);
	return EXIT_DONE;
}
