// SPDX-License-Identifier: MIT
/* gmem ps: the VMs of this user. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/listed.h"
#include "cmd/metrics.h"
#include "commands.h"
#include "common/size.h"
#include "common/status.h"
#include "control/client.h"
#include "control/names.h"
#include "options.h"

#define FORMAT		"%-16s %-10s %8s %5s %9s %9s %9s %10s %7s\n"

struct list {
	bool json;
	unsigned int shown;
};

static void show_time(char *text, size_t size, uint64_t seconds)
{
	snprintf(text, size, "%" PRIu64 ":%02u:%02u", seconds / 3600,
		 (unsigned int)(seconds / 60 % 60), (unsigned int)(seconds % 60));
}

static void show_row(struct json_object *status)
{
	char memory[32] = "-", resident[32] = "-", shared[32] = "-", uptime[48] = "-";

	if (*answer_text(status, "memory")) {
		size_show(memory, sizeof(memory), answer_number(status, "memory"));
		show_time(uptime, sizeof(uptime), answer_number(status, "uptime"));
	}
	if (*answer_text(status, "resident"))
		size_show(resident, sizeof(resident), answer_number(status, "resident"));
	if (*answer_text(status, "shared"))
		size_show(shared, sizeof(shared), answer_number(status, "shared"));
	printf(FORMAT, answer_text(status, "name"), answer_text(status, "state"),
	       *answer_text(status, "pid") ? answer_text(status, "pid") : "-",
	       *answer_text(status, "vcpus") ? answer_text(status, "vcpus") : "-", memory,
	       resident, shared, uptime, answer_text(status, "crashes"));
	if (*answer_text(status, "reason"))
		printf("  %s\n", answer_text(status, "reason"));
}

static void show(struct json_object *row, void *data)
{
	struct list *list = data;

	if (list->json) {
		control_print(row);
		return;
	}
	if (!list->shown++)
		printf(FORMAT, "NAME", "STATE", "PID", "CPUS", "MEMORY", "RESIDENT", "SHARED",
		       "UPTIME", "CRASHES");
	show_row(row);
}

static void keep(struct json_object *row, void *rows)
{
	json_object_array_add(rows, json_object_get(row));
}

static int list_metrics(char *why)
{
	struct json_object *rows = json_object_new_array();
	int ret = listed_each(keep, rows, why);

	if (!ret)
		metrics_print(rows);
	json_object_put(rows);
	return ret;
}

int cmd_ps(int argc, char **argv)
{
	struct list list = { .json = false };
	char why[NAMES_WHY];
	long json = 0, metrics = 0;
	const struct option_row rows[] = {
		{ .name = "json", .number = &json, .help = "print a JSON object a VM" },
		{ .name = "metrics", .number = &metrics,
		  .help = "print all in Prometheus' text format" },
		{ .name = NULL },
	};
	int status = options_read(argc, argv, rows, "List the VMs of this user that have a name.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	if (json && metrics)
		return options_wrong(argv[0], "--json and --metrics are two formats: choose one");
	list.json = json;
	if (!(metrics ? list_metrics(why) : listed_each(show, &list, why)))
		return EXIT_DONE;
	fprintf(stderr, "gmem: ps: %s\n", why);
	return EXIT_FAILED;
}
