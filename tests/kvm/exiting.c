// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tasks that end while a page is owed that their end touches. No signal reaches them any more:
 * they do not wait, and find no memory there.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "claims.h"
#include "mapped.h"
#include "paging.h"

#define PAGE	3
#define STACK	65536
#define PATTERN	"/proc/sys/kernel/core_pattern"
#define FILTER	"/proc/self/coredump_filter"
#define SHARED	"0x8"	/* mappings of files that others share */
#define CORE	"/tmp/core"

static struct machine *m;
static int pager;

static void begin(void)
{
	require_pager();
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGING_PAGES, MMAP_SHARED);
	pager = pager_of(m);
}

/* In time, though the page does not come. Returns how. */
static int wait_for_end(pid_t pid)
{
	double until = 0;
	int status;
	pid_t ended;

	while (!(ended = waitpid(pid, &status, WNOHANG | __WALL)))
		TEST_ASSERT(claim_is_patient(&until), "it does not end");
	TEST_ASSERT_EQ(ended, pid);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, PAGE, 1);
	return status;
}

/* Not by the C library: this shares its memory with the caller. */
static int exit_at_once(void *arg)
{
	(void)arg;
	asm volatile("syscall" : : "a"(SYS_exit), "D"(0) : "rcx", "r11", "memory");
	return 0;
}

/* The kernel is to clear its word there, as for pthread_join(). */
static void word_to_clear(void)
{
	char *stack = malloc(STACK);
	pid_t pid;

	begin();
	pid = clone(exit_at_once, stack + STACK, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, NULL,
		    NULL, NULL, host_page(m, PAGE));
	TEST_ASSERT(pid > 0, "clone: errno %d", errno);
	TEST_ASSERT_EQ(wait_for_end(pid), 0);
}

static void set(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY);
	ssize_t length = strlen(value);

	TEST_ASSERT(fd >= 0 && write(fd, value, length) == length, "%s: errno %d", file, errno);
	close(fd);
}

/* All pages of the mapping are read: that one, and those that are there. */
static void core(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int status;
	pid_t pid;

	begin();
	for (uint64_t page = 0; page < PAGING_PAGES; page++) {
		if (page != PAGE)
			copy(pager, 5, page, 1);
	}
	set(PATTERN, CORE);
	pid = fork();
	if (!pid) {
		set(FILTER, SHARED);
		setrlimit(RLIMIT_CORE, &all);
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	status = wait_for_end(pid);
	unlink(CORE);
	set(PATTERN, "core");
	TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && WCOREDUMP(status),
		    "status %#x", status);
}

static const struct claim claims[] = {
	CLAIM(word_to_clear, "a thread whose end is told in a page that is owed ends"),
	CLAIM(core, "a core is dumped without a page that is owed"),
};

CLAIMS_MAIN(claims);
