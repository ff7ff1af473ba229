// SPDX-License-Identifier: MIT
/*
 * The format wants all samples of a metric together, so go through the rows once for each metric. A
 * metric that no VM has is left out.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cmd/metrics.h"
#include "control/client.h"

/* The states of docs/control.md; a VM that claims another state has none of these. */
static const char *const states[] = {
	"running", "paused", "saving", "starting", "no-answer", "ended", "lost",
};

/*
 * struct metric - a metric from a number in the rows; @micro: the number is in millionths of the
 * metric's unit
 */
static const struct metric {
	const char *member;
	const char *name;
	const char *type;
	const char *help;
	bool micro;
} metrics[] = {
	{ "vcpus", "gmem_vm_vcpus", "gauge", "Virtual CPUs of the guest.", false },
	{ "memory", "gmem_vm_memory_bytes", "gauge", "Memory that the guest has.", false },
	{ "resident", "gmem_vm_resident_bytes", "gauge",
	  "Memory of the guest that is there, private memory included.", false },
	{ "shared", "gmem_vm_shared_bytes", "gauge",
	  "Memory of a private guest that has become shared.", false },
	{ "uptime", "gmem_vm_uptime_seconds", "gauge",
	  "For how long this VMM has had the guest.", false },
	{ "blackout_us", "gmem_vm_blackout_seconds", "gauge",
	  "For how long the guest stood still when this VMM took it over.", true },
	{ "crashes", "gmem_vm_crashes_total", "counter",
	  "How often a VMM of the guest has died and another went on.", false },
	{ "console", "gmem_vm_console_attached", "gauge",
	  "Whether somebody is attached to the console.", false },
};

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static struct json_object *row_at(struct json_object *rows, size_t i)
{
	return json_object_array_get_idx(rows, i);
}

static void print_head(const char *name, const char *type, const char *help)
{
	printf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The text may come from a VM. The format has three escapes; other bytes are UTF-8, as in JSON. */
static void print_label(const char *label, const char *value)
{
	printf("%s=\"", label);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			printf("\\%c", *value);
		else if (*value == '\n')
			printf("\\n");
		else
			putchar(*value >= ' ' && *value <= '~' ? *value : '?');
	}
	putchar('"');
}

/* @more: another label follows. */
static void print_name(const char *metric, struct json_object *row, bool more)
{
	printf("%s{", metric);
	print_label("name", answer_text(row, "name"));
	printf("%s", more ? "," : "} ");
}

static void print_states(struct json_object *rows)
{
	size_t i, state;

	for (i = 0; i < json_object_array_length(rows); i++) {
		for (state = 0; state < NR(states); state++) {
			struct json_object *row = row_at(rows, i);

			if (!i && !state)
				print_head("gmem_vm_state", "gauge",
					   "1 for the state that the VM is in.");
			print_name("gmem_vm_state", row, true);
			print_label("state", states[state]);
			printf("} %d\n", !strcmp(answer_text(row, "state"), states[state]));
		}
	}
}

static void print_info(struct json_object *rows)
{
	bool begun = false;
	size_t i;

	for (i = 0; i < json_object_array_length(rows); i++) {
		const char *version = answer_text(row_at(rows, i), "version");

		if (!*version)
			continue;
		if (!begun)
			print_head("gmem_vm_info", "gauge", "1, and the version of the VMM.");
		begun = true;
		print_name("gmem_vm_info", row_at(rows, i), true);
		print_label("version", version);
		printf("} 1\n");
	}
}

/* Nothing that is counted here can be negative: ignore such a value. */
static bool sample_of(struct json_object *row, const char *member, int64_t *value)
{
	struct json_object *found;

	if (!json_object_object_get_ex(row, member, &found))
		return false;
	*value = json_object_is_type(found, json_type_boolean) ? json_object_get_boolean(found) :
								 json_object_get_int64(found);
	return *value >= 0;
}

static void print_metric(struct json_object *rows, const struct metric *metric)
{
	bool begun = false;
	int64_t value;
	size_t i;

	for (i = 0; i < json_object_array_length(rows); i++) {
		if (!sample_of(row_at(rows, i), metric->member, &value))
			continue;
		if (!begun)
			print_head(metric->name, metric->type, metric->help);
		begun = true;
		print_name(metric->name, row_at(rows, i), false);
		if (metric->micro)
			printf("%" PRId64 ".%06" PRId64 "\n", value / 1000000, value % 1000000);
		else
			printf("%" PRId64 "\n", value);
	}
}

void metrics_print(struct json_object *rows)
{
	size_t i;

	print_info(rows);
	print_states(rows);
	for (i = 0; i < NR(metrics); i++)
		print_metric(rows, &metrics[i]);
}
