// SPDX-License-Identifier: MIT
/*
 * gmem demo: process A runs a guest, process B takes it over, A is killed.
 *
 * No number comes from this process: times and events come from A and B, pages
 * from the kernel (fdinfo), and only the guest says whether all is well.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm_gmem.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "common/child.h"
#include "common/say.h"
#include "common/status.h"
#include "demo/steps.h"
#include "guest/layout.h"
#include "machine/machine.h"
#include "options.h"

#include <gmem.h>

/* Be generous: an emulated machine may have to share its host's CPUs. */
#define FILL_TIMEOUT	150
#define HANDOVER_TIMEOUT 60
#define CHECK_TIMEOUT	150
#define END_TIMEOUT	30000	/* ms */

/* The guest counts on if it has said so this often. */
#define COUNT_LINES	2

/* struct heard - what the guest has said under one of the two processes */
struct heard {
	bool filled;
	unsigned int lines;	/* "counted to" */
	uint64_t counted;	/* the last of them */
	bool backwards;		/* a number was not greater than the one before it */
	bool whole;
	uint64_t words;
	uint64_t from;		/* "counting on from" */
};

struct demo {
	long megabytes;
	char folder[64];
	char socket_a[96];
	char self[256];
	struct child a, b;
	struct heard under_a, under_b;
	struct gmem_facts before, after;
};

static int fail(const char *what, ...)
	__attribute__((format(printf, 1, 2)));

static int fail(const char *what, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "gmem: the demo failed: ");
	va_start(args, what);
	vfprintf(stderr, what, args);
	va_end(args);
	fprintf(stderr, "\n");
	return EXIT_FAILED;
}

static void hear(struct child *child, const char *line)
{
	struct heard *heard = child->data;
	uint64_t count;

	printf("    %s| %s\n", child->name, line);
	if (!strcmp(line, "guest: filled, counting"))
		heard->filled = true;
	if (sscanf(line, "guest: all %" SCNu64 " words whole, counting on from %" SCNu64,
		   &heard->words, &heard->from) == 2) {
		heard->whole = true;
		heard->lines = 0;
	}
	if (sscanf(line, "guest: counted to %" SCNu64, &count) == 1) {
		heard->backwards |= count <= heard->counted;
		heard->counted = count;
		heard->lines++;
	}
}

static bool a_counts(const struct demo *demo)
{
	return demo->under_a.filled && demo->under_a.lines >= COUNT_LINES;
}

static bool b_runs(const struct demo *demo)
{
	return child_event(&demo->b, "first-exit") && demo->a.pid < 0;
}

static bool b_counts(const struct demo *demo)
{
	return demo->under_b.whole && demo->under_b.lines >= COUNT_LINES;
}

/* Listen until @done, or until all children are gone, or the time is up. */
static bool listen_until(struct demo *demo,
			 bool (*done)(const struct demo *demo), int seconds)
{
	struct child *const children[] = { &demo->a, &demo->b };
	uint64_t limit = now_ns() + seconds * 1000000000ULL;

	while (!done(demo) && now_ns() < limit) {
		if (!children_listen(children, 2, 100))
			break;
		if (demo->a.pid > 0)
			child_gone(&demo->a);
	}
	return done(demo);
}

static int facts_of(const struct child *child, const char *event,
		    struct gmem_facts *facts)
{
	const char *line = child_event(child, event);
	int fd = event_number(line, "fd");
	int ret = gmem_memfd_facts(child->pid, fd, facts);

	if (ret)
		return fail("the kernel's facts of %s's guest memory: %s",
			    child->name, strerror(-ret));
	printf("    the kernel says: inode %" PRIu64 ", %" PRIu64
	       " pages resident, %" PRIu64 " ever allocated, %" PRIu64
	       " freed, %" PRIu64 " view%s\n\n", facts->ino, facts->resident,
	       facts->allocated, facts->freed, facts->views,
	       facts->views == 1 ? "" : "s");
	return 0;
}

static int start_a(struct demo *demo)
{
	char megabytes[16];
	const char *const arguments[] = {
		demo->self, "run", "--memory", megabytes, "--socket",
		demo->socket_a, NULL,
	};
	int ret;

	snprintf(megabytes, sizeof(megabytes), "%ld", demo->megabytes);
	ret = child_start(&demo->a, arguments);
	if (ret)
		return fail("starting process A: %s", strerror(-ret));
	printf("Process A (pid %d) starts a guest with %ld MiB of private memory.\n",
	       (int)demo->a.pid, demo->megabytes);
	if (!listen_until(demo, a_counts, FILL_TIMEOUT))
		return fail("A's guest did not fill its memory and count");
	return facts_of(&demo->a, "started", &demo->before);
}

static int start_b(struct demo *demo)
{
	const char *const arguments[] = {
		demo->self, "takeover", "--socket", demo->socket_a, "--check",
		"--kill-source", NULL,
	};
	pid_t a = demo->a.pid;
	int ret = child_start(&demo->b, arguments);

	if (ret)
		return fail("starting process B: %s", strerror(-ret));
	printf("Process B (pid %d) takes the guest over, and kills A.\n",
	       (int)demo->b.pid);
	if (!listen_until(demo, b_runs, HANDOVER_TIMEOUT))
		return fail("B did not get to run the guest");
	demo_show_steps(&demo->a, &demo->b);
	if (!WIFSIGNALED(demo->a.status) ||
	    WTERMSIG(demo->a.status) != SIGKILL)
		return fail("process A (pid %d) was not killed", (int)a);
	printf("    process A (pid %d) was ended by signal %d\n", (int)a,
	       WTERMSIG(demo->a.status));
	if (!listen_until(demo, b_counts, CHECK_TIMEOUT))
		return fail("the guest did not say that its memory is whole and that it counts on");
	return facts_of(&demo->b, "linked", &demo->after);
}

/* Checks beyond what the guest says. */
static int judge(const struct demo *demo)
{
	uint64_t stopped = event_number(child_event(&demo->a, "stopped"),
					"count");
	uint64_t words = ((uint64_t)demo->megabytes << 20) / 8;
	const struct heard *b = &demo->under_b;

	if (b->words != words)
		return fail("the guest checked %" PRIu64 " words of %" PRIu64,
			    b->words, words);
	/* The guest may be stopped between counting and showing the count. */
	if (b->from < stopped || b->from > stopped + 2)
		return fail("the guest stopped at %" PRIu64 " and counts on from %" PRIu64,
			    stopped, b->from);
	if (demo->under_a.backwards || b->backwards || b->counted <= b->from)
		return fail("the guest's counter went backwards");
	if (demo->before.ino != demo->after.ino)
		return fail("the memory's inode is another");
	if (demo->after.allocated != demo->before.allocated ||
	    demo->after.freed != demo->before.freed)
		return fail("the kernel allocated %" PRIu64 " and freed %" PRIu64
			    " pages since the handover began",
			    demo->after.allocated - demo->before.allocated,
			    demo->after.freed - demo->before.freed);
	return EXIT_DONE;
}

static int play(struct demo *demo)
{
	int status = start_a(demo);

	if (!status)
		status = start_b(demo);
	if (status)
		return status;
	demo_show_sums(&demo->a, &demo->b, &demo->before, &demo->after);
	status = judge(demo);
	if (!status)
		printf("\nThe guest says that all %" PRIu64
		       " words are whole, and counts on: a handover without a copy.\n",
		       demo->under_b.words);
	return status;
}

/* Clean up everything that a demo leaves, even after an error. */
static int tidy(struct demo *demo, int status)
{
	child_end(&demo->a, SIGTERM, END_TIMEOUT);
	child_end(&demo->b, SIGTERM, END_TIMEOUT);
	if (!status && (!WIFEXITED(demo->b.status) ||
			WEXITSTATUS(demo->b.status)))
		status = fail("process B did not end as asked: wait status 0x%x",
			      demo->b.status);
	/* A was killed, and could not remove its socket. */
	unlink(demo->socket_a);
	rmdir(demo->folder);
	return status;
}

static int no_kvm(int error, const char *step)
{
	say_failed(error, "%s", step);
	say_todo(kvm_todo(error));
	return EXIT_FAILED;
}

static int prepare(struct demo *demo)
{
	ssize_t length = readlink("/proc/self/exe", demo->self,
				  sizeof(demo->self) - 1);
	int kvm = gmem_kvm_open();
	int caps;

	if (kvm < 0)
		return no_kvm(kvm, "opening /dev/kvm");
	caps = gmem_check_extension(kvm, KVM_CAP_GMEM);
	close(kvm);
	if (caps <= 0 || !(caps & KVM_GMEM_CAP_LINK))
		return no_kvm(-ENOTTY, "asking KVM for KVM_LINK_GUEST_MEMFD");
	if (length < 0)
		return say_failed(-errno, "finding this program");
	strcpy(demo->folder, "/tmp/gmem-demo-XXXXXX");
	if (!mkdtemp(demo->folder))
		return say_failed(-errno, "making a folder in /tmp");
	snprintf(demo->socket_a, sizeof(demo->socket_a), "%s/a", demo->folder);
	return 0;
}

int cmd_demo(int argc, char **argv)
{
	struct demo demo = {
		.megabytes = 256,
		.a = { .name = "A", .heard = hear, .output.fd = -1,
		       .reports.fd = -1 },
		.b = { .name = "B", .heard = hear, .output.fd = -1,
		       .reports.fd = -1 },
	};
	const struct option_row rows[] = {
		{ .name = "memory", .argument = "MIB", .number = &demo.megabytes,
		  .least = GUEST_PRIVATE_UNIT >> 20, .most = GUEST_PRIVATE_MAX >> 20,
		  .help = "private memory of the guest, in MiB, an even number (256)" },
		{ .name = NULL },
	};
	int status = options_read(argc, argv, rows,
				  "Hand a running guest's private memory to a second process, and kill the first.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	demo.a.data = &demo.under_a;
	demo.b.data = &demo.under_b;
	status = prepare(&demo);
	if (status)
		return status;
	return tidy(&demo, play(&demo));
}
