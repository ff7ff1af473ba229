// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"
#include "processes.h"

#define MAX_ARGUMENTS	14
#define ENDS_WITHIN	60000	/* ms */

static char folder[64];

static char *join(const char *directory, const char *name)
{
	char *path;

	must(asprintf(&path, "%s/%s", directory, name) < 0 ? -ENOMEM : 0, name);
	return path;
}

char *built(const char *name)
{
	char path[512];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	must(length < 0 ? -errno : 0, "where this program is");
	path[length] = '\0';
	*strrchr(path, '/') = '\0';	/* this program */
	*strrchr(path, '/') = '\0';	/* bench */
	return join(path, name);
}

char *debians_kernel(void)
{
	char *path = NULL, release[128] = "";
	char *file = built("../kernel/release");
	FILE *in = fopen(file, "re");

	must(in && fgets(release, sizeof(release), in) ? 0 : -ENOENT, file);
	fclose(in);
	free(file);
	release[strcspn(release, "\n")] = '\0';
	must(asprintf(&path, "../kernel/root/boot/vmlinuz-%s", release) < 0 ? -ENOMEM : 0, "");
	file = built(path);
	free(path);
	return file;
}

static void remove_folder(void)
{
	char command[sizeof(folder) + 16];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command))
		fprintf(stderr, "bench: %s is left behind\n", folder);
}

void make_folder(void)
{
	strcpy(folder, "/tmp/bench-XXXXXX");
	must(mkdtemp(folder) ? 0 : -errno, "a folder for files");
	atexit(remove_folder);
}

char *in_folder(const char *name)
{
	return join(folder, name);
}

/* @first, then the rest, up to NULL. */
static void start(struct child *child, const char *const *first, va_list rest)
{
	char *program = built("vmm/gmem");
	const char *arguments[MAX_ARGUMENTS + 1] = { program };
	unsigned int i = 1;

	for (; *first; first++)
		arguments[i++] = *first;
	while (i < MAX_ARGUMENTS && (arguments[i] = va_arg(rest, const char *)))
		i++;
	must(i == MAX_ARGUMENTS && va_arg(rest, const char *) ? -E2BIG : 0, "arguments");
	*child = (struct child){ .name = arguments[1] };
	must(child_start(child, arguments), "start gmem");
	free(program);
}

void start_gmem(struct child *child, const char *name, ...)
{
	const char *const first[] = { name, NULL };
	va_list rest;

	va_start(rest, name);
	start(child, first, rest);
	va_end(rest);
}

/* struct awaited - words that a child is to say, and when it did */
struct awaited {
	const char *words;
	char *line;
	uint64_t at;
};

static void hear(struct child *child, const char *line)
{
	struct awaited *awaited = child->data;

	if (awaited->at || !strstr(line, awaited->words))
		return;
	awaited->at = now_ns();
	if (awaited->line)
		strcpy(awaited->line, line);
}

uint64_t await(struct child *child, const char *words, char *line)
{
	struct awaited awaited = { .words = words, .line = line };

	child->heard = hear;
	child->data = &awaited;
	while (!awaited.at && children_listen(&child, 1, -1))
		;
	child->heard = NULL;
	if (awaited.at)
		return awaited.at;
	fprintf(stderr, "bench: gmem %s has ended and not said: %s\n", child->name, words);
	exit(1);
}

void await_end(struct child *child)
{
	child_end(child, 0, ENDS_WITHIN);
	if (WIFEXITED(child->status) && !WEXITSTATUS(child->status))
		return;
	fprintf(stderr, "bench: gmem %s has failed\n", child->name);
	exit(1);
}

void make_sums(const char *image)
{
	struct child pager;

	start_gmem(&pager, "pager", "--image", image, "--make-sums", NULL);
	await_end(&pager);
}

void start_server(struct child *server, const char *image, const char *socket, ...)
{
	const char *const first[] = {
		"pager", "--image", image, "--socket", socket, "--user", "nobody", "--json", NULL,
	};
	va_list rest;

	unlink(socket);
	va_start(rest, socket);
	start(server, first, rest);
	va_end(rest);
	while (!child_event(server, "listening")) {
		if (children_listen(&server, 1, -1))
			continue;
		fprintf(stderr, "bench: the page server does not listen\n");
		exit(1);
	}
}

static uint64_t number(const char *line, const char *name)
{
	const char *found = strstr(line, name);

	must(found ? 0 : -ENODATA, name);
	return strtoull(found + strlen(name), NULL, 10);
}

void server_ended(struct child *server, const char *how, uint64_t *given, uint64_t *asked)
{
	char event[32], line[CHILD_LINE];

	snprintf(event, sizeof(event), "\"event\": \"%s\"", how);
	await(server, event, line);
	*given = number(line, "\"given\": ") / PAGE;
	*asked = number(line, "\"faults\": ");
	await_end(server);
}

uint64_t cpu_time(const struct child *child)
{
	struct timespec time;
	clockid_t clock;

	must(-clock_getcpuclockid(child->pid, &clock), "a process's clock");
	must(clock_gettime(clock, &time) ? -errno : 0, "a process's clock");
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}
