// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/listed.h"
#include "common/say.h"
#include "control/client.h"
#include "control/names.h"
#include "control/request.h"

#define PATIENCE	2000	/* ms: a VM that hangs must not hide the others */
#define GOES_WITHIN	1000	/* ms: wait for the name of a VM whose process has ended */
#define LOOK_EVERY	20	/* ms */

/* struct listing - the callback for each VM */
struct listing {
	void (*found)(struct json_object *row, void *data);
	void *data;
};

/* The facts that are known without the VM's answer. */
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
 * The VM's answer about itself, as far as it can know: somebody may have taken control of it, and
 * make it claim to be another VM, or anything else.
 */
static struct json_object *believe(const char *name, pid_t pid, struct json_object *answer)
{
	static const struct {
		const char *member;
		enum json_type type;
	} members[] = {
		{ "vcpus", json_type_int }, { "memory", json_type_int },
		{ "resident", json_type_int }, { "shared", json_type_int },
		{ "uptime", json_type_int }, { "blackout_us", json_type_int },
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

/* The VM's helper, which has the name too, releases it when it has seen the end. */
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

/* A VM that accepts no connection: it may not do so yet, or not any more. */
static struct json_object *row_of_silent(const char *name, pid_t pid)
{
	if (!has_ended(pid))
		return row_of(name, pid, "starting");
	return name_goes(name) ? NULL : row_of(name, pid, "ended");
}

/* Report the VM's answer, or what is known without it. */
static struct json_object *status_of(const char *name, pid_t pid)
{
	struct json_object *answer = NULL, *row = NULL;
	char why[CONTROL_WHY];
	int ret = control_call(name, control_request("status"), PATIENCE, &answer, why);

	if (!ret && answer_is_ok(answer))
		row = believe(name, pid, answer);
	else if (ret == -EAGAIN)
		row = row_of_silent(name, pid);
	/* Otherwise it has ended since. */
	else if (ret != -ESRCH && ret != -EPIPE)
		row = row_of(name, pid, "no-answer");
	json_object_put(answer);
	return row;
}

/* A VM that has ended, and whose reason for that is recorded. */
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

static void find(const char *name, pid_t pid, void *data)
{
	const struct listing *listing = data;
	struct json_object *row = pid < 0 ? row_of_lost(name) : status_of(name, pid);

	if (!row)
		return;
	listing->found(row, listing->data);
	json_object_put(row);
}

int listed_each(void (*found)(struct json_object *row, void *data), void *data, char *why)
{
	struct listing listing = { .found = found, .data = data };

	return vm_each(find, &listing, why);
}
