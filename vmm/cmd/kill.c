// SPDX-License-Identifier: MIT
/* gmem kill: end a guest as it stands. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "commands.h"
#include "common/say.h"
#include "common/status.h"
#include "control/client.h"
#include "control/names.h"
#include "control/request.h"
#include "options.h"
#include "upgrade/wire.h"

#define PATIENCE	2000	/* ms */
#define DEATH		30000	/* ms: the kernel frees its memory first */

/*
 * A VMM that is asked ends in an orderly way: a terminal gets its settings back. Whatever it
 * answers, its process must end.
 */
static bool ends_if_asked(const char *name, int pidfd)
{
	struct json_object *answer = NULL;
	char why[CONTROL_WHY];
	int ret = control_call(name, control_request("kill"), PATIENCE, &answer, why);

	json_object_put(answer);
	return !ret && !control_wait_gone(name, pidfd, PATIENCE);
}

/*
 * Tell the helper, which would otherwise start another VMM for the guest. A helper that is not
 * there, or does not answer, does not do that either.
 */
static void say_end(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 1 };
	char why[CONTROL_WHY], answer[64];
	int fd;

	if (vm_upgrade_path(name, address.sun_path, sizeof(address.sun_path), why))
		return;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)) &&
	    send(fd, UPGRADE_END, strlen(UPGRADE_END), MSG_NOSIGNAL) > 0)
		recv(fd, answer, sizeof(answer), 0);
	close(fd);
}

/* Kill a VMM that does not answer. Returns 0 or -errno. */
static int kill_process(int pidfd, char *why)
{
	int ret = syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) ? -errno : 0;

	if (ret && ret != -ESRCH)
		snprintf(why, CONTROL_WHY, "killing its process: %s: use the VM's user, or root",
			 strerror(-ret));
	return ret == -ESRCH ? 0 : ret;
}

/* Returns 0 or -errno. @pidfd: -errno if its process can't be found, for the reason in @why. */
static int end_vm(const char *name, int pidfd, char *why)
{
	char unused[CONTROL_WHY];
	pid_t pid;
	int ret;

	if (ends_if_asked(name, pidfd) || pidfd == -ESRCH)
		return 0;
	say_end(name);
	ret = pidfd < 0 ? pidfd : kill_process(pidfd, why);
	/* The VM may have ended meanwhile. */
	if (pidfd < 0 && vm_find(name, &pid, unused) == -ESRCH)
		return 0;
	if (ret)
		return ret;
	ret = control_wait_gone(name, pidfd, DEATH);
	if (ret)
		snprintf(why, CONTROL_WHY, "it was killed, and is there still");
	return ret;
}

static int say_ended(const char *name, bool json)
{
	if (json)
		printf("{\"ok\":true}\n");
	else
		printf("gmem: %s: ended\n", name);
	return EXIT_DONE;
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
	int pidfd, ret;
	int status = options_read(argc, argv, rows,
				  "End a guest as it stands, as pulling the plug does.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	ret = vm_find(name, &pid, why);
	/* A VM that has ended already, and whose reason for that is recorded. */
	if (ret == -ESRCH && !vm_forget(name))
		return say_ended(name, json);
	if (ret)
		return control_say_failed(name, why, json);
	pidfd = vm_open_process(name, why);
	ret = end_vm(name, pidfd, why);
	if (pidfd >= 0)
		close(pidfd);
	if (ret)
		return control_say_failed(name, why, json);
	return say_ended(name, json);
}
