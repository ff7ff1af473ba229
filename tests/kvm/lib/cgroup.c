// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory cgroups: see cgroup.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "claims.h"
#include "processor.h"

static char cgroups[32];	/* where cgroup2 is mounted for the claim */

void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	TEST_ASSERT(fd >= 0, "open %s", path);
	TEST_ASSERT(write(fd, text, strlen(text)) > 0, "write %s to %s", text, path);
	close(fd);
}

const char *cgroup_path(const char *group, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s/%s", cgroups, group, file);
	return path;
}

static void cgroups_end(void)
{
	umount2(cgroups, MNT_DETACH);
	rmdir(cgroups);
}

void cgroups_begin(void)
{
	strcpy(cgroups, "/tmp/gmem-cgroups-XXXXXX");
	TEST_ASSERT(mkdtemp(cgroups), "mkdtemp %s", cgroups);
	if (mount("cgroup2", cgroups, "cgroup2", 0, NULL)) {
		rmdir(cgroups);
		claim_skip("can't mount cgroup2: %s", strerror(errno));
	}
	atexit(cgroups_end);
	write_file(cgroup_path("", "cgroup.subtree_control"), "+memory");
}

const char *cgroup_create(const char *name)
{
	char *group;

	TEST_ASSERT(asprintf(&group, "gmem-%s-%d", name, getpid()) > 0, "asprintf");
	TEST_ASSERT(!mkdir(cgroup_path(group, ""), 0700), "mkdir %s", cgroup_path(group, ""));
	return group;
}

void cgroup_enter(const char *group)
{
	write_file(cgroup_path(group, "cgroup.procs"), "0");
}

static uint64_t cgroup_pages(const char *group)
{
	uint64_t bytes = 0;
	char line[128];
	FILE *f = fopen(cgroup_path(group, "memory.stat"), "r");

	TEST_ASSERT(f, "open %s", cgroup_path(group, "memory.stat"));
	while (fgets(line, sizeof(line), f) && sscanf(line, "file %lu", &bytes) != 1)
		;
	fclose(f);
	return bytes / PAGE_SIZE;
}

void cgroup_expect_pages(const char *group, uint64_t least, uint64_t most)
{
	double until = 0;
	uint64_t pages;

	do {
		pages = cgroup_pages(group);
	} while ((pages < least || pages > most) && claim_is_patient(&until));
	TEST_ASSERT(pages >= least && pages <= most, "the group %s has %lu pages, not %lu to %lu",
		    group, pages, least, most);
}
