// SPDX-License-Identifier: MIT
/* gmem top: the VMs of this user, again each second. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/counts.h"
#include "cmd/listed.h"
#include "commands.h"
#include "common/say.h"
#include "common/size.h"
#include "common/status.h"
#include "control/client.h"
#include "control/names.h"
#include "options.h"

#define EVERY		1000	/* ms */
#define VMS		256	/* VMs that are remembered from one look to the next */
#define FORMAT		"%-16s %-10s %4s %8s %8s %8s %8s %5s %10s %7s\n"
#define CLEAR		"\033[H\033[J"

/*
 * struct seen - of a VM at one look
 * @pid: the process that had it: the counts of another one do not continue
 *	these
 * @at: when, in ns
 */
struct seen {
	char name[VM_NAME_LENGTH];
	pid_t pid;
	uint64_t at;
	uint64_t came;
};

/*
 * struct look - the state at one time
 * @rows: what is known of each VM, an array
 * @pagers: all that can be seen
 */
struct look {
	struct json_object *rows;
	struct pagers pagers;
	unsigned int nr;
	struct seen seen[VMS];
};

static void keep(struct json_object *row, void *rows)
{
	json_object_array_add(rows, json_object_get(row));
}

/* The VM as the last look has seen it, or NULL. */
static const struct seen *before(const struct look *last, const struct seen *now)
{
	unsigned int i;

	for (i = 0; i < last->nr; i++)
		if (last->seen[i].pid == now->pid && !strcmp(last->seen[i].name, now->name))
			return &last->seen[i];
	return NULL;
}

static void show_rate(char *text, size_t size, const struct seen *then, const struct seen *now)
{
	uint64_t passed = then ? now->at - then->at : 0;

	if (passed && now->came >= then->came)
		snprintf(text, size, "%.0f", (now->came - then->came) * 1e9 / passed);
}

/* The kernel's counts of a VM, kept for the next look. False: they can't be seen. */
static bool observe(struct look *look, struct json_object *row, struct counts *counts,
		    struct seen *now)
{
	*now = (struct seen){ .pid = answer_number(row, "pid") };
	if (!now->pid || !counts_read(now->pid, counts))
		return false;
	snprintf(now->name, sizeof(now->name), "%s", answer_text(row, "name"));
	now->at = now_ns();
	now->came = counts->came;
	if (look->nr < VMS)
		look->seen[look->nr++] = *now;
	return true;
}

static void show_counts(struct look *look, const struct look *last, struct json_object *row,
			char *rate, char *waits, size_t size)
{
	struct counts counts;
	struct seen now;
	uint64_t waiting;

	if (!observe(look, row, &counts, &now))
		return;
	show_rate(rate, size, before(last, &now), &now);
	if (pagers_wait(&look->pagers, &counts, &waiting))
		snprintf(waits, size, "%" PRIu64, waiting);
}

static void show_member(char *text, size_t size, struct json_object *row, const char *member)
{
	if (*answer_text(row, member))
		size_show(text, size, answer_number(row, member));
}

static void show_row(struct look *look, const struct look *last, struct json_object *row)
{
	char memory[32] = "-", resident[32] = "-", shared[32] = "-";
	char rate[32] = "-", waits[32] = "-", blackout[32] = "-";

	show_member(memory, sizeof(memory), row, "memory");
	show_member(resident, sizeof(resident), row, "resident");
	show_member(shared, sizeof(shared), row, "shared");
	show_counts(look, last, row, rate, waits, sizeof(rate));
	if (*answer_text(row, "blackout_us"))
		snprintf(blackout, sizeof(blackout), "%.1f ms",
			 answer_number(row, "blackout_us") / 1000.0);
	printf(FORMAT, answer_text(row, "name"), answer_text(row, "state"),
	       *answer_text(row, "vcpus") ? answer_text(row, "vcpus") : "-", memory, resident,
	       shared, rate, waits, blackout, answer_text(row, "crashes"));
}

/* How many VMs a terminal has room for, below the line of headings and above a last one. */
static size_t room_for(bool terminal)
{
	struct winsize window;

	if (!terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) || window.ws_row < 4)
		return SIZE_MAX;
	return window.ws_row - 3;
}

static void show(struct look *look, const struct look *last, bool terminal)
{
	size_t nr = json_object_array_length(look->rows), room = room_for(terminal), i;

	if (terminal)
		printf(CLEAR);
	printf(FORMAT, "NAME", "STATE", "CPUS", "MEMORY", "RESIDENT", "SHARED", "PAGES/S", "WAITS",
	       "BLACKOUT", "CRASHES");
	for (i = 0; i < nr && i < room; i++)
		show_row(look, last, json_object_array_get_idx(look->rows, i));
	if (i < nr)
		printf("%zu more\n", nr - i);
	fflush(stdout);
}

/* Look at all VMs. Returns 0, or -errno with @why. */
static int take(struct look *look, char *why)
{
	look->nr = 0;
	look->rows = json_object_new_array();
	pagers_find(&look->pagers);
	return listed_each(keep, look->rows, why);
}

/* A rate takes two looks. */
static void observe_all(struct look *look)
{
	struct counts counts;
	struct seen now;
	size_t i;

	for (i = 0; i < json_object_array_length(look->rows); i++)
		observe(look, json_object_array_get_idx(look->rows, i), &counts, &now);
}

static int watch(bool once, char *why)
{
	bool terminal = isatty(STDOUT_FILENO) && !once;
	struct look *looks = calloc(2, sizeof(*looks));
	unsigned int now = 0;
	int ret;

	if (!looks) {
		snprintf(why, NAMES_WHY, "no memory");
		return -ENOMEM;
	}
	do {
		ret = take(&looks[now], why);
		if (!ret && once && !now)
			observe_all(&looks[now]);
		else if (!ret)
			show(&looks[now], &looks[!now], terminal);
		json_object_put(looks[now].rows);
		/* A reader that has gone ends the program. */
		if (ret || ferror(stdout) || (once && now))
			break;
		poll(NULL, 0, EVERY);
		now = !now;
	} while (true);
	free(looks);
	return ret;
}

int cmd_top(int argc, char **argv)
{
	char why[NAMES_WHY];
	long once = 0;
	const struct option_row rows[] = {
		{ .name = "once", .number = &once,
		  .help = "look for a second, print that, and end" },
		{ .name = NULL },
	};
	int status = options_read(argc, argv, rows,
				  "Watch the VMs of this user that have a name, each second.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	/* Write a screen in one piece. */
	setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
	if (!watch(once, why))
		return EXIT_DONE;
	fprintf(stderr, "gmem: top: %s\n", why);
	return EXIT_FAILED;
}
