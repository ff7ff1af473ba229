// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "demo/steps.h"

#define PAGE_BYTES	4096

/*
 * The events of a handover, the process that reports each, and their meaning. A
 * number of the event, @key, is shown after that, between @before and @after.
 */
static const struct {
	char who;
	const char *event;
	const char *meaning;
	const char *key;
	const char *before;
	const char *after;
} steps[] = {
	{ 'B', "connected", "B connects to A's socket", NULL, NULL, NULL },
	{ 'A', "memory-sent", "A sends layout and descriptors, the guest runs on",
	  "bytes", "", " bytes" },
	{ 'B', "linked", "B links the memory to a VM of its own (KVM_LINK_GUEST_MEMFD)",
	  "ino", "inode ", "" },
	{ 'B', "bound", "B binds it", "slots", "memslots: ", "" },
	{ 'B', "attributes", "B sets which of it is private", "ranges",
	  "ranges: ", "" },
	{ 'A', "stopped", "A has stopped the guest", "count",
	  "it has counted to ", "" },
	{ 'A', "state-sent", "A sends registers and console", "bytes", "",
	  " bytes" },
	{ 'B', "registers", "B has set the registers", NULL, NULL, NULL },
	{ 'B', "given", "A has given the guest up", NULL, NULL, NULL },
	{ 'B', "kill", "B sends SIGKILL to A", NULL, NULL, NULL },
	{ 'B', "source-gone", "A is gone, and its VM with it", NULL, NULL, NULL },
	{ 'B', "running", "B enters the guest", NULL, NULL, NULL },
	{ 'B', "first-exit", "the guest has run under B: its first exit", NULL,
	  NULL, NULL },
};

#define NR_STEPS (sizeof(steps) / sizeof(steps[0]))

static double ms(uint64_t from, uint64_t to)
{
	return (int64_t)(to - from) / 1e6;
}

struct shown {
	const char *line;
	size_t step;
	uint64_t ns;
};

static int by_time(const void *left, const void *right)
{
	const struct shown *a = left, *b = right;

	return a->ns < b->ns ? -1 : a->ns > b->ns;
}

/* Sort the events by time: A and B have the same clock. */
void demo_show_steps(const struct child *a, const struct child *b)
{
	struct shown shown[NR_STEPS];
	size_t count = 0, i;

	for (i = 0; i < NR_STEPS; i++) {
		const char *line = child_event(steps[i].who == 'A' ? a : b,
					       steps[i].event);

		if (line)
			shown[count++] = (struct shown){
				line, i, event_number(line, "ns"),
			};
	}
	qsort(shown, count, sizeof(shown[0]), by_time);
	printf("         at       took\n");
	for (i = 0; i < count; i++) {
		size_t step = shown[i].step;

		printf("  %6.1f ms  %6.1f ms  %s", ms(shown[0].ns, shown[i].ns),
		       ms(shown[i ? i - 1 : 0].ns, shown[i].ns),
		       steps[step].meaning);
		if (steps[step].key)
			printf(": %s%" PRIu64 "%s", steps[step].before,
			       event_number(shown[i].line, steps[step].key),
			       steps[step].after);
		printf("\n");
	}
}

/*
 * The blackout is measured from the return of A's last KVM_RUN to the return of
 * B's first, which is after the guest's first instructions there: that is a
 * little too much. If measured up to B's entry, it would be a little too
 * little.
 */
void demo_show_sums(const struct child *a, const struct child *b,
		    const struct gmem_facts *before,
		    const struct gmem_facts *after)
{
	uint64_t left = event_number(child_event(a, "stopped"), "left");
	uint64_t entered = event_number(child_event(b, "running"), "ns");
	uint64_t exited = event_number(child_event(b, "first-exit"), "left");
	uint64_t memory = event_number(child_event(a, "memory-sent"), "bytes");
	uint64_t state = event_number(child_event(a, "state-sent"), "bytes");
	uint64_t new_pages = after->allocated - before->allocated;

	printf("  bytes copied   %" PRIu64 ": %" PRIu64 " new pages in inode %" PRIu64
	       " by the kernel's count,\n                 from before the handover to after the guest had checked all\n",
	       new_pages * PAGE_BYTES, new_pages, after->ino);
	printf("  messages       %" PRIu64 " bytes over the socket: layout %" PRIu64
	       ", registers and console %" PRIu64 "\n", memory + state, memory,
	       state);
	printf("  blackout       %.1f ms, from KVM_RUN's last return in A to its first in B\n"
	       "                 (%.1f ms to its entry); %.1f ms of it wait for A's death\n",
	       ms(left, exited), ms(left, entered),
	       ms(event_number(child_event(b, "kill"), "ns"),
		  event_number(child_event(b, "source-gone"), "ns")));
}
