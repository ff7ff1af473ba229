// SPDX-License-Identifier: GPL-2.0-only
/* Allocations and copies that fail: see failing.h. */
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "claims.h"
#include "failing.h"
#include "machine.h"

#define DEBUGFS		"/sys/kernel/debug"
#define USERCOPY	DEBUGFS "/fail_usercopy"

static void set_attribute(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, value, strlen(value)) > 0, "write %s to %s", value, file);
	close(fd);
}

static void set_address(const char *file, unsigned long address)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", address);
	set_attribute(file, text);
}

/* Only copies that are made by a function at @start to @end - 1, or by what it calls. */
static void fail_copies_from(unsigned long start, unsigned long end)
{
	set_address(USERCOPY "/require-start", start);
	set_address(USERCOPY "/require-end", end);
}

void require_fault_injection(void)
{
	require_link();
	if (access("/proc/self/fail-nth", F_OK))
		claim_skip("this kernel has no fault injection");
	if (access(DEBUGFS "/failslab", F_OK))
		TEST_ASSERT(!mount("debugfs", DEBUGFS, "debugfs", 0, NULL), "mount debugfs");

	/* Sleeping allocations too, and of single pages for anyone: all of ours are. */
	set_attribute(DEBUGFS "/failslab/ignore-gfp-wait", "N");
	set_attribute(DEBUGFS "/fail_page_alloc/ignore-gfp-wait", "N");
	set_attribute(DEBUGFS "/fail_page_alloc/ignore-gfp-highmem", "N");
	set_attribute(DEBUGFS "/fail_page_alloc/min-order", "0");
	set_attribute(DEBUGFS "/failslab/verbose", "0");
	set_attribute(DEBUGFS "/fail_page_alloc/verbose", "0");

	/* A copy is no allocation, and fail-nth, which counts both, is to count those alone. */
	if (!access(USERCOPY, F_OK))
		fail_copies_from(1, 1);
}

void require_failing_copies(void)
{
	require_fault_injection();
	if (access(USERCOPY, F_OK))
		claim_skip("this kernel has no copies that fail");
	set_attribute(USERCOPY "/verbose", "0");
}

/* By one kind of fault, whose attributes are in @dir of debugfs. */
static void fail_always(const char *dir, bool fail)
{
	static int me;
	char path[64];

	snprintf(path, sizeof(path), "%s/probability", dir);
	if (fail) {
		set_attribute(path, "100");
		me = open("/proc/thread-self/make-it-fail", O_WRONLY);
	}
	/* Not by opening a file: that would fail, too. */
	TEST_ASSERT(pwrite(me, fail ? "1" : "0", 1, 0) == 1, "write make-it-fail");
	if (!fail) {
		close(me);
		set_attribute(path, "0");
	}
}

void fail_large_allocations(bool fail)
{
	if (fail) {
		set_attribute(DEBUGFS "/fail_page_alloc/min-order", "1");
		set_attribute(DEBUGFS "/fail_page_alloc/task-filter", "Y");
		set_attribute(DEBUGFS "/fail_page_alloc/times", "-1");
	}
	fail_always(DEBUGFS "/fail_page_alloc", fail);
}

void fail_slab_allocations(bool fail)
{
	if (fail) {
		set_attribute(DEBUGFS "/failslab/task-filter", "Y");
		set_attribute(DEBUGFS "/failslab/times", "-1");
	}
	fail_always(DEBUGFS "/failslab", fail);
}

void fail_slab_allocations_but(const char *bytes)
{
	set_attribute(DEBUGFS "/failslab/space", bytes);
	fail_slab_allocations(true);
}

/* Where one of the modules' functions begins, and the next one. */
static void find_function(const char *name, unsigned long *start, unsigned long *end)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	char found[128], line[512];
	unsigned long address;
	char type;

	TEST_ASSERT(file, "open /proc/kallsyms");
	*start = 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx %*c %127s", &address, found) == 2 && !strcmp(found, name))
			*start = address;
	}
	TEST_ASSERT(*start, "/proc/kallsyms has no %s", name);

	rewind(file);
	*end = ULONG_MAX;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx %c", &address, &type) == 2 &&
		    address > *start && address < *end)
			*end = address;
	}
	fclose(file);
}

void fail_copies_in(const char *function, bool fail)
{
	unsigned long start = 1, end = 1;

	if (fail) {
		find_function(function, &start, &end);
		set_attribute(USERCOPY "/task-filter", "Y");
		set_attribute(USERCOPY "/times", "-1");
	}
	fail_copies_from(start, end);
	fail_always(USERCOPY, fail);
}

/* The thread's next @n-th allocation fails; 0: none does. */
static void fail_nth(int fd, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	TEST_ASSERT(pwrite(fd, text, len, 0) == len, "write fail-nth");
}

/* Whether the allocation that was to fail did not come any more. */
static bool never_came(int fd)
{
	char text[16] = "";

	TEST_ASSERT(pread(fd, text, sizeof(text) - 1, 0) > 0, "read fail-nth");
	fail_nth(fd, 0);
	return atoi(text) > 0;
}

int try_allocations(const struct request *r, int *failed)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR);
	int n;

	*failed = 0;

	TEST_ASSERT(fd >= 0, "open fail-nth");
	for (n = 1; ; n++) {
		int made, err;
		bool done;

		if (r->prepare)
			r->prepare();
		fail_nth(fd, n);
		made = r->make();
		err = errno;
		done = never_came(fd);

		if (made < 0) {
			TEST_ASSERT(err == ENOMEM, "allocation %d failed: errno %d (%s)", n, err,
				    strerror(err));
			(*failed)++;
		} else {
			r->undo(made);
		}
		r->check();
		if (done)
			break;
	}
	close(fd);
	pr_info("%d allocations, %d failures\n", n - 1, *failed);
	return n - 1;
}

int try_each_allocation(const struct request *r)
{
	int failed;

	TEST_ASSERT(try_allocations(r, &failed), "nothing was allocated");
	return failed;
}

void fail_each_allocation(const struct request *r)
{
	TEST_ASSERT(try_each_allocation(r), "no allocation failed");
}

void check_fds(void)
{
	static int first = -1;
	int next = dup(0);

	close(next);
	if (first < 0)
		first = next;
	TEST_ASSERT_EQ(next, first);
}
