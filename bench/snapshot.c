// SPDX-License-Identifier: MIT
/*
 * How long a Linux guest takes from the start of `gmem restore` to the next line that
 * it prints: with all of its memory populated before, on demand from a page server, page
 * by page, and with the working set that a run before has recorded. By how much of its
 * memory it has used.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"
#include "processes.h"

#define ROUNDS 3
#define ENDS_WITHIN 60000	/* ms */
#define LINE "console=ttyS0 quiet reboot=k panic=-1 mitigations=off nokaslr noxsave " \
	     "i8042.nokbd i8042.noaux"

static const unsigned int used_mib[] = { 16, 64, 160 };

#define NR_USED (sizeof(used_mib) / sizeof(used_mib[0]))

/*
 * struct way - how it gets its memory
 * @served: by a page server, when it is needed
 * @set: with the recorded working set
 */
static const struct way {
	const char *name;
	bool served;
	bool set;
} ways[] = {
	{ "populated before it runs", false, false },
	{ "on demand", true, false },
	{ "on demand, with its working set", true, true },
};

#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

/*
 * struct snapshot - a guest that was kept
 * @size: bytes of its memory that it has filled
 * @path: of the folder
 * @image: its memory there
 * @set: its working set
 * @socket: of its page servers
 */
struct snapshot {
	uint64_t size;
	char *path;
	char *image;
	char *set;
	char *socket;
};

/* It has filled so much, was kept right behind a line, and waits after its next. */
static void make_snapshot(struct snapshot *s, unsigned int mib)
{
	char name[16], line[256], *image = debians_kernel();
	char *initrd = built("tests/vmm/snapshot.initrd");
	struct child vmm;

	snprintf(name, sizeof(name), "%u", mib);
	snprintf(line, sizeof(line), LINE " fill=%u", mib);
	s->size = mib * MIB;
	s->path = in_folder(name);
	s->socket = in_folder("pager");
	must(asprintf(&s->image, "%s/memory", s->path), "a path");
	must(asprintf(&s->set, "%s/set", s->path), "a path");
	start_gmem(&vmm, "run", "--memory", "256", "--kernel", image, "--initrd", initrd,
		   "--append", line, "--snapshot", s->path,
		   "--snapshot-on", "userspace: ready", NULL);
	await(&vmm, "goes on", NULL);
	child_end(&vmm, SIGTERM, ENDS_WITHIN);
	make_sums(s->image);
	free(image);
	free(initrd);
}

static void start_server_of(struct child *server, const struct snapshot *s, const struct way *way)
{
	if (way->set)
		start_server(server, s->image, s->socket, "--on-demand", "--prefetch", "1",
			     "--working-set", s->set, NULL);
	else
		start_server(server, s->image, s->socket, "--on-demand", "--prefetch", "1",
			     NULL);
}

/* struct result - of one restore: nanoseconds, and pages */
struct result {
	uint64_t ns;
	uint64_t cpu_ns;
	uint64_t given;
	uint64_t asked;
};

static void restore(const struct snapshot *s, const struct way *way, struct result *result)
{
	struct child vmm, server;
	struct stat memory;
	uint64_t start;

	*result = (struct result){ .asked = 0 };
	if (way->served) {
		start_server_of(&server, s, way);
		result->cpu_ns = -cpu_time(&server);
	}
	start = now_ns();
	if (way->served)
		start_gmem(&vmm, "restore", "--snapshot", s->path, "--pager", s->socket, NULL);
	else
		start_gmem(&vmm, "restore", "--snapshot", s->path, NULL);
	result->ns = await(&vmm, "goes on", NULL) - start;
	result->cpu_ns += cpu_time(&vmm);
	if (way->served)
		result->cpu_ns += cpu_time(&server);
	child_end(&vmm, SIGTERM, ENDS_WITHIN);
	if (way->served) {
		server_ended(&server, "gone", &result->given, &result->asked);
	} else {
		must(stat(s->image, &memory) ? -errno : 0, s->image);
		result->given = memory.st_blocks * 512 / PAGE;
	}
}

static void measure(const struct snapshot *s, const struct way *way)
{
	struct result result;

	restore(s, way, &result);
	sample("snapshot", way->name, s->size, result.ns);
	sample("snapshot-cpu", way->name, s->size, result.cpu_ns);
	sample("snapshot-pages-given", way->name, s->size, result.given);
	/* The report knows no sample that is nothing. */
	if (way->served)
		sample("snapshot-pages-asked", way->name, s->size, result.asked ? : 1);
}

int main(void)
{
	struct snapshot snapshots[NR_USED];
	struct result ignored;
	unsigned int round, i, j;

	/* Stock modules have nothing of it. */
	if (!kvm_is_gmem())
		return 0;

	make_folder();
	for (i = 0; i < NR_USED; i++) {
		make_snapshot(&snapshots[i], used_mib[i]);
		/* This run records the set. */
		restore(&snapshots[i], &ways[NR_WAYS - 1], &ignored);
	}
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR_USED; i++) {
			for (j = 0; j < NR_WAYS; j++)
				measure(&snapshots[i], &ways[j]);
		}
	}
	return 0;
}
