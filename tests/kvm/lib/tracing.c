// SPDX-License-Identifier: GPL-2.0-only
/*
 * The modules' tracepoints, and calls of functions: see tracing.h.
 */
#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "claims.h"
#include "test_util.h"
#include "tracing.h"

#define TRACEFS	"/sys/kernel/tracing"

static char instance[64], probe[24];

static void write_file(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | flags);

	TEST_ASSERT(fd >= 0, "open %s", path);
	TEST_ASSERT(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write %s", path);
	close(fd);
}

static void instance_write(const char *file, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", instance, file);
	write_file(path, text, O_TRUNC);
}

static void probe_enable(const char *value)
{
	char file[64];

	snprintf(file, sizeof(file), "events/kprobes/%s/enable", probe);
	instance_write(file, value);
}

static void instance_remove(void)
{
	char text[80];

	if (*probe) {
		probe_enable("0");
		snprintf(text, sizeof(text), "-:%s", probe);
		write_file(TRACEFS "/kprobe_events", text, O_APPEND);
	}
	rmdir(instance);
}

static void instance_create(void)
{
	if (access(TRACEFS "/events", F_OK) &&
	    mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		claim_skip("can't mount tracefs: %s", strerror(errno));

	snprintf(instance, sizeof(instance), TRACEFS "/instances/gmem-%d", getpid());
	TEST_ASSERT(!mkdir(instance, 0700), "mkdir %s", instance);
	atexit(instance_remove);
}

void trace_start(const char *event)
{
	char file[64], path[160];

	if (!*instance)
		instance_create();

	snprintf(file, sizeof(file), "events/gmem/%s/enable", event);
	snprintf(path, sizeof(path), "%s/%s", instance, file);
	if (access(path, F_OK))
		claim_skip("these modules have no tracepoint %s", event);
	instance_write(file, "1");
}

void trace_calls_start(const char *function)
{
	char text[192];

	if (!*instance)
		instance_create();
	if (access(TRACEFS "/kprobe_events", F_OK))
		claim_skip("this kernel has no kprobes");

	snprintf(text, sizeof(text), "p:gmem_%d %s", getpid(), function);
	write_file(TRACEFS "/kprobe_events", text, O_APPEND);
	snprintf(probe, sizeof(probe), "gmem_%d", getpid());
	probe_enable("1");
}

unsigned long trace_calls(void)
{
	FILE *f = fopen(TRACEFS "/kprobe_profile", "r");
	unsigned long hits, found = 0;
	bool has = false;
	char name[64];

	TEST_ASSERT(f, "open kprobe_profile");
	while (fscanf(f, "%63s %lu %*u", name, &hits) == 2) {
		if (!strcmp(name, probe)) {
			found = hits;
			has = true;
		}
	}
	fclose(f);
	TEST_ASSERT(has, "kprobe_profile does not have %s", probe);
	return found;
}

void trace_clear(void)
{
	instance_write("trace", "");
}

static FILE *trace_open(void)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/trace", instance);
	f = fopen(path, "r");
	TEST_ASSERT(f, "open %s", path);
	return f;
}

/* The text after "NAME: " where @line is an event of that name. */
static char *event_fields(char *line, const char *event)
{
	char name[64];
	char *p;

	snprintf(name, sizeof(name), " %s: ", event);
	p = strstr(line, name);
	if (!p)
		return NULL;
	p += strlen(name);
	p[strcspn(p, "\n")] = '\0';
	return p;
}

/* Whether "key value" stands in @fields as whole words. */
static bool fields_have(const char *fields, const char *match)
{
	size_t len = strlen(match);

	for (const char *p = fields; (p = strstr(p, match)); p++) {
		if ((p == fields || p[-1] == ' ') && (!p[len] || p[len] == ' '))
			return true;
	}
	return false;
}

unsigned int trace_count(const char *event, const char *match)
{
	unsigned int n = 0;
	char line[512];
	FILE *f = trace_open();

	while (fgets(line, sizeof(line), f)) {
		char *fields = event_fields(line, event);

		n += fields && fields_have(fields, match);
	}
	fclose(f);
	return n;
}

uint64_t trace_fault_pfn(uint64_t ino, uint64_t pgoff)
{
	char inode[32], offset[32], line[512];
	uint64_t pfn = 0;
	FILE *f = trace_open();

	snprintf(inode, sizeof(inode), "ino %lu", ino);
	snprintf(offset, sizeof(offset), "pgoff 0x%lx", pgoff);
	while (fgets(line, sizeof(line), f)) {
		char *fields = event_fields(line, "gmem_fault");
		char *p;

		if (!fields || !fields_have(fields, inode) || !fields_have(fields, offset))
			continue;
		p = strstr(fields, " pfn ");
		TEST_ASSERT(p, "gmem_fault tells no pfn: %s", fields);
		pfn = strtoull(p + strlen(" pfn "), NULL, 16);
	}
	fclose(f);
	TEST_ASSERT(pfn, "no gmem_fault of inode %lu, page %lu was recorded", ino, pgoff);
	return pfn;
}
