// SPDX-License-Identifier: MIT
/* gmem ps: the VMs of this user. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "common/status.h"
#include "control/client.h"
#include "control/names.h"
#include "control/request.h"
#include "options.h"

#define PATIENCE	2000	/* ms: one that hangs does not hide the others */
#define FORMAT		"%-16s %-10s %8s %5s %9s %9s %10s\n"

struct list {
	bool json;
	unsigned int shown;
};

/* What it says of itself, or what can be said without its answer. */
static struct json_object *status_of(const char *name, pid_t pid)
{
	struct json_object *request = control_request("status");
	struct json_object *answer = NULL;
	char why[CONTROL_WHY];
	int socket = control_connect(name, why);
	int ret = socket < 0 ? socket : control_exchange(socket, request, PATIENCE, &answer, why);

	if (socket >= 0)
		close(socket);
	json_object_put(request);
	if (!ret && answer_is_ok(answer)) {
		json_object_object_del(answer, "ok");
		return answer;
	}
	json_object_put(answer);
	/* It has ended since. */
	if (ret == -ESRCH || ret == -EPIPE)
		return NULL;
	answer = json_object_new_object();
	json_object_object_add(answer, "name", json_object_new_string(name));
	json_object_object_add(answer, "pid", json_object_new_int(pid));
	json_object_object_add(answer, "state",
			       json_object_new_string(ret == -EAGAIN ? "starting" : "no-answer"));
	return answer;
}

static void show_size(char *text, size_t size, uint64_t bytes)
{
	static const char units[] = "KMGT";
	int unit = 0;

	bytes >>= 10;
	while (bytes >= 10240 && unit < 3) {
		bytes >>= 10;
		unit++;
	}
	snprintf(text, size, "%" PRIu64 "%c", bytes, units[unit]);
}

static void show_time(char *text, size_t size, uint64_t seconds)
{
	snprintf(text, size, "%" PRIu64 ":%02u:%02u", seconds / 3600,
		 (unsigned int)(seconds / 60 % 60), (unsigned int)(seconds % 60));
}

static void show_row(struct json_object *status)
{
	char memory[32] = "-", resident[32] = "-", uptime[48] = "-";

	if (*answer_text(status, "memory")) {
		show_size(memory, sizeof(memory), answer_number(status, "memory"));
		show_time(uptime, sizeof(uptime), answer_number(status, "uptime"));
	}
	if (*answer_text(status, "resident"))
		show_size(resident, sizeof(resident), answer_number(status, "resident"));
	printf(FORMAT, answer_text(status, "name"), answer_text(status, "state"),
	       answer_text(status, "pid"),
	       *answer_text(status, "vcpus") ? answer_text(status, "vcpus") : "-", memory,
	       resident, uptime);
}

static void show(const char *name, pid_t pid, void *data)
{
	struct list *list = data;
	struct json_object *status = status_of(name, pid);

	if (!status)
		return;
	if (list->json)
		control_print(status);
	else if (!list->shown++)
		printf(FORMAT, "NAME", "STATE", "PID", "CPUS", "MEMORY", "RESIDENT", "UPTIME");
	if (!list->json)
		show_row(status);
	json_object_put(status);
}

int cmd_ps(int argc, char **argv)
{
	struct list list = { .json = false };
	char why[NAMES_WHY];
	long json = 0;
	const struct option_row rows[] = {
		{ .name = "json", .number = &json, .help = "print a JSON object a VM" },
		{ .name = NULL },
	};
	int status = options_read(argc, argv, rows, "List the VMs of this user that have a name.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	list.json = json;
	if (!vm_each(show, &list, why))
		return EXIT_DONE;
	fprintf(stderr, "gmem: ps: %s\n", why);
	return EXIT_FAILED;
}
