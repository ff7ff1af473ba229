// SPDX-License-Identifier: GPL-2.0-only
/*
 * The order in which pages leave an encrypted guest: see sequence.h.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kvm/lib/claims.h"
#include "expect.h"
#include "sequence.h"

#define TRACEFS	"/sys/kernel/tracing"
#define PROBES	TRACEFS "/kprobe_events"

static const struct {
	const char *event, *word;
} words[] = {
	{ " gmem_invalidate: ", "zap" },
	{ " gmem_flush: ", "flush" },
	{ " gmem_end: ", "end" },
	{ " mm_page_free: ", "freed" },
};

static char instance[64];

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	EXPECT(fd >= 0);
	EXPECT_EQ(write(fd, text, strlen(text)), (long)strlen(text));
	close(fd);
}

static void instance_write(const char *file, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", instance, file);
	write_text(path, text);
}

static void end(void)
{
	instance_write("events/gmem_sequence/enable", "0");
	write_text(PROBES, "-:gmem_sequence/gmem_flush");
	write_text(PROBES, "-:gmem_sequence/gmem_end");
	rmdir(instance);
}

void sequence_start(uint64_t frame)
{
	char filter[48];

	if (access(PROBES, F_OK))
		claim_skip("this kernel has no kprobes");
	snprintf(instance, sizeof(instance), TRACEFS "/instances/gmem-%d", getpid());
	EXPECT_EQ(mkdir(instance, 0700), 0);
	write_text(PROBES, "p:gmem_sequence/gmem_flush softpsp_wbinvd_on_all_cpus");
	write_text(PROBES, "p:gmem_sequence/gmem_end gmem_invalidate_end");
	atexit(end);

	snprintf(filter, sizeof(filter), "pfn == %lu", frame);
	instance_write("events/kmem/mm_page_free/filter", filter);
	instance_write("events/kmem/mm_page_free/enable", "1");
	instance_write("events/gmem/gmem_invalidate/enable", "1");
	instance_write("events/gmem_sequence/enable", "1");
}

static const char *word_of(const char *line)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strstr(line, words[i].event))
			return words[i].word;
	}
	return NULL;
}

const char *sequence(void)
{
	static char text[256];
	const char *word, *before = NULL;
	char path[96], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/trace", instance);
	f = fopen(path, "re");
	EXPECT(f);
	*text = '\0';
	while (fgets(line, sizeof(line), f)) {
		word = word_of(line);
		if (!word || word == before)
			continue;
		EXPECT(strlen(text) + strlen(word) + 2 < sizeof(text));
		if (before)
			strcat(text, " ");
		strcat(text, word);
		before = word;
	}
	fclose(f);
	return text;
}
