// SPDX-License-Identifier: MIT
/*
 * Processes come and go while we look at them: ignore those that are gone.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gmem.h>

#include "cmd/counts.h"

#define VIEW_LINK	"anon_inode:[kvm-gmem]"
#define PAGER_LINK	"anon_inode:[gmem-pager]"

/* Call @look with each descriptor of a process whose link begins with a prefix. */
static void each_descriptor(pid_t pid, const char *begins,
			    void (*look)(pid_t pid, int fd, void *data), void *data)
{
	char path[64], link[64];
	struct dirent *entry;
	ssize_t length;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		length = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		if (length <= 0)
			continue;
		link[length] = '\0';
		if (!strncmp(link, begins, strlen(begins)))
			look(pid, atoi(entry->d_name), data);
	}
	closedir(dir);
}

/* Several descriptors may refer to one inode. */
static void add_view(pid_t pid, int fd, void *data)
{
	struct counts *counts = data;
	struct gmem_facts facts;
	unsigned int i;

	if (counts->nr == COUNTS_INODES || gmem_memfd_facts(pid, fd, &facts))
		return;
	for (i = 0; i < counts->nr; i++)
		if (counts->inodes[i] == facts.ino)
			return;
	counts->inodes[counts->nr++] = facts.ino;
	counts->came += facts.allocated;
}

bool counts_read(pid_t pid, struct counts *counts)
{
	*counts = (struct counts){ 0 };
	each_descriptor(pid, VIEW_LINK, add_view, counts);
	return counts->nr;
}

static void add_pager(pid_t pid, int fd, void *data)
{
	struct pagers *pagers = data;
	uint64_t inode = 0, waits = 0, number;
	char path[64], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
	file = pagers->nr < COUNTS_PAGERS ? fopen(path, "re") : NULL;
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "gmem-ino: %" SCNu64, &number) == 1)
			inode = number;
		else if (sscanf(line, "gmem-waits-%*[a-z]: %" SCNu64, &number) == 1)
			waits += number;
	}
	fclose(file);
	pagers->all[pagers->nr].inode = inode;
	pagers->all[pagers->nr++].waits = waits;
}

void pagers_find(struct pagers *pagers)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	pagers->nr = 0;
	while (proc && (entry = readdir(proc)))
		if (isdigit(entry->d_name[0]))
			each_descriptor(atoi(entry->d_name), PAGER_LINK, add_pager, pagers);
	if (proc)
		closedir(proc);
}

/* Count a pager once, even if two processes have it open. */
bool pagers_wait(const struct pagers *pagers, const struct counts *counts, uint64_t *waits)
{
	bool found = false;
	unsigned int i, k;

	*waits = 0;
	for (i = 0; i < counts->nr; i++)
		for (k = 0; k < pagers->nr; k++) {
			if (pagers->all[k].inode != counts->inodes[i])
				continue;
			*waits += pagers->all[k].waits;
			found = true;
			break;
		}
	return found;
}
