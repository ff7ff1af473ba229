// SPDX-License-Identifier: MIT
/* gmem ps: the VMs of this user. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "commands.h"
#include "common/say.h"
#include "common/status.h"
#include "control/client.h"
#include "control/names.h"
#include "control/request.h"
#include "options.h"

#define PATIENCE	2000	/* ms: one that hangs does not hide the others */
#define GOES_WITHIN	1000	/* ms: the name of one whose process has ended */
#define LOOK_EVERY	20	/* ms */
#define FORMAT		"%-16s %-10s %8s %5s %9s %9s %9s %10s %7s\n"

struct list {
	bool json;
	unsigned int shown;
};

/* What is known of it whatever it answers. */
static struct json_object *row_of(const char *name, pid_t pid, const char *state)
{
	struct json_object *row = json_object_new_object();

	json_object_object_add(row, "state", json_object_new_string(state));
	json_object_object_add(row, "name", json_object_new_string(name));
	json_object_object_add(row, "pid", json_object_new_int(pid));
	json_object_object_add(row, "crashes", json_object_new_int(vm_crashes(name)));
	return row;
}

/*
 * What it says of itself, as far as it can know: somebody may have taken it over, and have it
 * say that it is another VM, or what no VM says.
 */
static struct json_object *believe(const char *name, pid_t pid, struct json_object *answer)
{
	static const struct {
		const char *member;
		enum json_type type;
	} members[] = {
		{ "vcpus", json_type_int }, { "memory", json_type_int },
		{ "resident", json_type_int }, { "shared", json_type_int },
		{ "uptime", json_type_int },
		{ "console", json_type_boolean }, { "version", json_type_string },
	};
	struct json_object *row, *value;
	char state[16];
	size_t i;

	snprintf(state, sizeof(state), "%s", answer_text(answer, "state"));
	make_printable(state);
	row = row_of(name, pid, state);
	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (json_object_object_get_ex(answer, members[i].member, &value) &&
		    json_object_is_type(value, members[i].type))
			json_object_object_add(row, members[i].member, json_object_get(value));
	return row;
}

static bool has_ended(pid_t pid)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = { .fd = pidfd, .events = POLLIN };
	bool ended = pidfd < 0 ? errno == ESRCH : poll(&end, 1, 0) > 0;

	if (pidfd >= 0)
		close(pidfd);
	return ended;
}

/* Its helper, which has it too, lets go of it when it has seen the end. */
static bool name_goes(const char *name)
{
	char why[NAMES_WHY];
	unsigned int waited;
	pid_t pid;

	for (waited = 0; waited < GOES_WITHIN; waited += LOOK_EVERY) {
		if (vm_find(name, &pid, why) == -ESRCH)
			return true;
		poll(NULL, 0, LOOK_EVERY);
	}
	return false;
}

/* One that accepts no connection: it may not do so yet, or not any more. */
static struct json_object *row_of_silent(const char *name, pid_t pid)
{
	if (!has_ended(pid))
		return row_of(name, pid, "starting");
	return name_goes(name) ? NULL : row_of(name, pid, "ended");
}

/* Or what can be said without its answer. */
static struct json_object *status_of(const char *name, pid_t pid)
{
	struct json_object *request = control_request("status");
	struct json_object *answer = NULL, *row = NULL;
	char why[CONTROL_WHY];
	int socket = control_connect(name, why);
	int ret = socket < 0 ? socket : control_exchange(socket, request, PATIENCE, &answer, why);

	if (socket >= 0)
		close(socket);
	json_object_put(request);
	if (!ret && answer_is_ok(answer))
		row = believe(name, pid, answer);
	else if (ret == -EAGAIN)
		row = row_of_silent(name, pid);
	/* Else it has ended since. */
	else if (ret != -ESRCH && ret != -EPIPE)
		row = row_of(name, pid, "no-answer");
	json_object_put(answer);
	return row;
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
	char memory[32] = "-", resident[32] = "-", shared[32] = "-", uptime[48] = "-";

	if (*answer_text(status, "memory")) {
		show_size(memory, sizeof(memory), answer_number(status, "memory"));
		show_time(uptime, sizeof(uptime), answer_number(status, "uptime"));
	}
	if (*answer_text(status, "resident"))
		show_size(resident, sizeof(resident), answer_number(status, "resident"));
	if (*answer_text(status, "shared"))
		show_size(shared, sizeof(shared), answer_number(status, "shared"));
	printf(FORMAT, answer_text(status, "name"), answer_text(status, "state"),
	       *answer_text(status, "pid") ? answer_text(status, "pid") : "-",
	       *answer_text(status, "vcpus") ? answer_text(status, "vcpus") : "-", memory,
	       resident, shared, uptime, answer_text(status, "crashes"));
	if (*answer_text(status, "reason"))
		printf("  %s\n", answer_text(status, "reason"));
}

/* One of which the reason is kept why it has ended. */
static struct json_object *row_of_lost(const char *name)
{
	struct json_object *row = row_of(name, 0, "lost");
	char reason[NAMES_WHY];

	json_object_object_del(row, "pid");
	if (vm_reason(name, reason))
		*reason = '\0';
	make_printable(reason);
	json_object_object_add(row, "reason", json_object_new_string(reason));
	return row;
}

static void show(const char *name, pid_t pid, void *data)
{
	struct list *list = data;
	struct json_object *status = pid < 0 ? row_of_lost(name) : status_of(name, pid);

	if (!status)
		return;
	if (list->json)
		control_print(status);
	else if (!list->shown++)
		printf(FORMAT, "NAME", "STATE", "PID", "CPUS", "MEMORY", "RESIDENT", "SHARED",
		       "UPTIME", "CRASHES");
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
