// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/say.h"
#include "pager/progress.h"
#include "pager/serving.h"

#define MIB		(1 << 20)
#define SECOND		1000000000ULL
#define REPORT_EVERY	SECOND
#define LINE_EVERY	(SECOND / 5)

/* @terminal: stderr is a terminal: one line is overwritten again and again */
static struct {
	bool json;
	bool terminal;
	uint64_t began;
	uint64_t shown;
} progress;

void progress_begin(bool json)
{
	progress.json = json;
	progress.terminal = !json && isatty(STDERR_FILENO);
}

static uint64_t bytes_left(const struct serving *serving)
{
	return serving->owed * IMAGE_PAGE;
}

/* Bytes a second that were given so far. */
static double rate(const struct serving *serving)
{
	uint64_t ns = now_ns() - progress.began;

	return ns ? serving->given * IMAGE_PAGE * (double)SECOND / ns : 0;
}

static void end_line(void)
{
	if (progress.terminal)
		fputs("\r\033[K", stderr);
}

void progress_listening(const char *image, uint64_t size)
{
	if (progress.json)
		printf("{\"event\": \"listening\", \"size\": %" PRIu64 "}\n",
		       size);
	else
		say("serves %s, %" PRIu64 " MiB, to who connects", image,
		    size / MIB);
}

/* @why must be our own text, even if a peer has sent it. */
void progress_refused(const char *why)
{
	if (progress.json)
		printf("{\"event\": \"refused\", \"why\": \"%s\"}\n", why);
	fprintf(stderr, "gmem: a VMM was turned away: %s\n", why);
}

static void facts(const char *event, const struct serving *serving)
{
	double bytes = rate(serving);

	printf("{\"event\": \"%s\", \"size\": %" PRIu64 ", \"left\": %" PRIu64 ", ",
	       event, serving->image->size, bytes_left(serving));
	printf("\"given\": %" PRIu64 ", \"faults\": %" PRIu64 ", \"failed\": %u, ",
	       serving->given * IMAGE_PAGE, serving->faults, serving->failed);
	printf("\"rate\": %.0f, \"remaining\": %.1f}\n", bytes,
	       bytes ? bytes_left(serving) / bytes : 0);
}

void progress_serving(const struct serving *serving)
{
	progress.began = now_ns();
	progress.shown = progress.began;
	if (progress.json)
		facts("serving", serving);
	else
		say("serves a guest: %" PRIu64 " of %" PRIu64 " pages are missing",
		    (uint64_t)serving->owed, (uint64_t)serving->image->pages);
}

void progress_failed(uint64_t offset, int error)
{
	const char *why = error == -EBADMSG ? "its checksum is wrong" :
			  error == -ENODATA ? "the image ends before it" :
					      strerror(-error);

	end_line();
	if (progress.json)
		printf("{\"event\": \"failed\", \"offset\": %" PRIu64 ", \"why\": \"%s\"}\n",
		       offset, why);
	fprintf(stderr, "gmem: the page at offset 0x%" PRIx64 " is not given: %s\n",
		offset, why);
}

static void show_line(const struct serving *serving)
{
	double bytes = rate(serving);

	fprintf(stderr, "\rgmem: %" PRIu64 " of %" PRIu64 " MiB, %.0f MiB/s, ",
		(serving->image->size - bytes_left(serving)) / MIB,
		serving->image->size / MIB, bytes / MIB);
	fprintf(stderr, "%.0f s left, %" PRIu64 " faults\033[K",
		bytes ? bytes_left(serving) / bytes : 0, serving->faults);
}

void progress_show(const struct serving *serving)
{
	uint64_t now = now_ns();

	if (now - progress.shown < (progress.json ? REPORT_EVERY : LINE_EVERY))
		return;
	progress.shown = now;
	if (progress.json)
		facts("progress", serving);
	else if (progress.terminal)
		show_line(serving);
}

void progress_ended(const struct serving *serving, const char *how)
{
	end_line();
	if (progress.json)
		facts(how, serving);
	else
		say("%s: %" PRIu64 " pages given, %" PRIu64 " asked for, %u failed, %u left", how,
		    serving->given, serving->faults, serving->failed,
		    serving->owed);
}
