// SPDX-License-Identifier: GPL-2.0-only
/*
 * Populating from every kind of memory, and within limits.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "apart.h"
#include "cgroup.h"
#include "claims.h"
#include "failing.h"
#include "fdinfo.h"
#include "mapped.h"
#include "meminfo.h"
#include "populate.h"

#define PAGES		100
#define MANY		4096	/* pages, more than a limit lets in */
#define HUGE_SIZE	(2UL << 20)

static struct machine *m;
static uint64_t *content;

static void begin(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	m = machine_create(PAGES);
	content = pattern_pages(0, PAGES, 3);
}

/* The first @n pages come; then it is EFAULT, and the next one stays missing. */
static void expect_until(const char *from, uint64_t n)
{
	TEST_ASSERT_EQ(populate(m, 0, PAGES, from), (long)n);
	TEST_ERRNO(populate(m, n, PAGES - n, from + n * PAGE_SIZE), EFAULT);
	TEST_ASSERT_EQ(fdinfo(m->view, "resident"), n);
	guest_expect(m, n, 1, 0);
}

static void *huge_memory(void)
{
	void *p;

	write_file("/proc/sys/vm/nr_hugepages", "1");
	p = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (p == MAP_FAILED)
		claim_skip("no huge page: %s", strerror(errno));
	return p;
}

static void a_huge_page(void)
{
	char *p = huge_memory();

	begin();
	/* Across the end of a batch, and not aligned. */
	memcpy(p + 5000, content, PAGES * PAGE_SIZE);
	TEST_ASSERT_EQ(populate(m, 0, PAGES, p + 5000), (long)PAGES);
	guest_expect(m, 0, PAGES, 3);
	munmap(p, HUGE_SIZE);
	write_file("/proc/sys/vm/nr_hugepages", "0");
}

static int file_with_content(size_t size)
{
	char path[] = "/tmp/gmem-populate-XXXXXX";
	int fd = mkstemp(path);

	TEST_ASSERT(fd >= 0, "mkstemp");
	unlink(path);
	TEST_ASSERT_EQ(write(fd, content, size), (ssize_t)size);
	return fd;
}

static char *map_file(int fd, int flags)
{
	char *p = mmap(NULL, PAGES * PAGE_SIZE, PROT_READ, flags, fd, 0);

	TEST_ASSERT(p != MAP_FAILED, "mmap");
	return p;
}

static void a_file(void)
{
	const int flags[] = { MAP_SHARED, MAP_PRIVATE };

	for (int i = 0; i < 2; i++) {
		begin();
		TEST_ASSERT_EQ(populate(m, 0, PAGES,
					map_file(file_with_content(PAGES * PAGE_SIZE), flags[i])),
			       (long)PAGES);
		guest_expect(m, 0, PAGES, 3);
		machine_free(m);
	}
}

/* What the kernel can't get is SIGBUS to a program, and EFAULT here. */
static void a_file_that_ends(void)
{
	char *p;
	int fd;

	begin();
	fd = file_with_content(40 * PAGE_SIZE);
	p = map_file(fd, MAP_SHARED);
	expect_until(p, 40);
	guest_expect(m, 0, 40, 3);

	/* And goes on when the file does. */
	punch_pages(m->view, 40, 1);
	TEST_ASSERT_EQ(pwrite(fd, content + 40 * 512, 60 * PAGE_SIZE, 40 * PAGE_SIZE),
		       60L * PAGE_SIZE);
	TEST_ASSERT_EQ(populate(m, 40, PAGES - 40, p + 40 * PAGE_SIZE), PAGES - 40L);
	guest_expect(m, 0, PAGES, 3);
}

static void told(int sig __maybe_unused)
{
}

static void a_bad_page(void)
{
	begin();
	/* Simulated, the error is this process's at once. */
	signal(SIGBUS, told);
	if (madvise(content + 35 * 512, PAGE_SIZE, MADV_HWPOISON))
		claim_skip("this kernel can't simulate memory failure");
	signal(SIGBUS, SIG_DFL);
	expect_until((char *)content, 35);
	guest_expect(m, 0, 35, 3);
	/* What comes behind it does. */
	TEST_ASSERT_EQ(populate(m, 36, PAGES - 36, content + 36 * 512), PAGES - 36L);
	guest_expect(m, 36, PAGES - 36, 3);
}

/* Another inode's, that is: which its own host may not read. */
static void a_private_page(void)
{
	struct machine *other;

	begin();
	other = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED);
	host_write(other, 0, PAGES, 3);
	make_private(other->view, 50, 1);
	expect_until((char *)other->host, 50);
	guest_expect(m, 0, 50, 3);
}

#define TOUCHES	100	/* of two pages, to read them once: as many as take no time */

/* Half a page from each of two, which are page 0's and 1's of the pattern. */
static struct apart two_halves;

static void begin_two_halves(void)
{
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGES,
			  MMAP_SHARED | GUEST_MEMFD_FLAG_WRITE);
	content = pattern_pages(0, 2, 3);
	apart_begin(&two_halves, content, TOUCHES);
}

static void expect_two_halves(long done, long all)
{
	TEST_ASSERT(two_halves.touches < TOUCHES, "the pages were touched %lu times",
		    two_halves.touches);
	TEST_ASSERT_EQ(done, all);
	TEST_ASSERT(!memcmp(m->host, content + 256, PAGE_SIZE), "the content is another");
}

static void never_there_at_once(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	begin_two_halves();
	expect_two_halves(populate(m, 0, 1, two_halves.pages + PAGE_SIZE / 2), 1);
}

static void never_there_at_once_written(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_WRITE);
	begin_two_halves();
	expect_two_halves(pwritev(m->view, (struct iovec[]){
		{ two_halves.pages + PAGE_SIZE / 2, 100 },
		{ two_halves.pages + PAGE_SIZE / 2 + 100, PAGE_SIZE / 2 },
		{ two_halves.pages + PAGE_SIZE + 100, PAGE_SIZE / 2 - 100 },
	}, 3, 0), PAGE_SIZE);
}

static volatile bool flipping;

/* Page 9 of the content comes and goes. */
static void *flip(void *arg __maybe_unused)
{
	char *page = (char *)content + 9 * PAGE_SIZE;

	while (flipping) {
		TEST_ASSERT(!mprotect(page, PAGE_SIZE, PROT_NONE), "mprotect");
		TEST_ASSERT(!mprotect(page, PAGE_SIZE, PROT_READ), "mprotect");
	}
	return NULL;
}

static void comes_and_goes(void)
{
	unsigned int whole = 0, until = 0, rounds = claim_times(2000);
	pthread_t thread;

	begin();
	flipping = true;
	TEST_ASSERT(!pthread_create(&thread, NULL, flip, NULL), "pthread_create");
	for (unsigned int i = 0; i < rounds; i++) {
		long n = populate(m, 0, 16, content);

		TEST_ASSERT(n == 9 || n == 16, "populated %ld pages: errno %d", n, errno);
		if (n == 9)
			until++;
		else
			whole++;
		if (i + 1 < rounds)
			punch_pages(m->view, 0, 16);
	}
	flipping = false;
	pthread_join(thread, NULL);
	guest_expect(m, 0, 9, 3);
	pr_info("%u times all came, %u times what is before it\n", whole, until);
}

/*
 * What a page does that has a bad cache line: its first byte can be read, all of it can't be
 * copied.
 */
static void copies_that_fail(void)
{
	begin();
	require_failing_copies();
	fail_copies_in("gmem_fill_read", true);
	expect_until((char *)content, 0);
	fail_copies_in("gmem_fill_read", false);
	TEST_ASSERT_EQ(populate(m, 0, PAGES, content), (long)PAGES);
	guest_expect(m, 0, PAGES, 3);
}

/* What was allocated for content that did not come is free again. */
static void nothing_is_lost(void)
{
	const uint64_t rounds = 1000, each = 16;	/* 64 MiB, if it were lost */
	uint64_t before, after;

	begin();
	TEST_ASSERT(!mprotect(content + 8 * 512, PAGE_SIZE, PROT_NONE), "mprotect");
	before = memory_free();
	for (uint64_t i = 0; i < rounds; i++)
		TEST_ERRNO(populate(m, 0, each, content + 8 * 512), EFAULT);
	after = memory_free();
	TEST_ASSERT(after + rounds * each / 2 * PAGE_SIZE > before,
		    "%lu bytes are free, there were %lu", after, before);
}

static void without_limits_on_mappings(void)
{
	const int limits[] = { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_FSIZE, RLIMIT_RSS };
	const struct rlimit none = { 0, 0 };

	begin();
	for (int i = 0; i < 5; i++)
		TEST_ASSERT(!setrlimit(limits[i], &none), "setrlimit");
	/* Nothing of the caller's is locked, mapped or written. */
	TEST_ASSERT_EQ(populate(m, 0, PAGES, content), (long)PAGES);
	guest_expect(m, 0, PAGES, 3);
}

static void write_pages(const char *path, uint64_t pages)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", pages * PAGE_SIZE);
	write_file(path, text);
}

/* A machine of MANY pages, a handle, and a group that may have half of them. */
static const char *limited(int *filler)
{
	const char *group;

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	cgroups_begin();
	group = cgroup_create("limited");
	write_pages(cgroup_path(group, "memory.max"), MANY / 2);
	m = machine_create(MANY);
	*filler = filler_of(m->view);
	content = pattern_pages(0, MANY, 3);
	return group;
}

/* Populates all from page @from on that it can: the error that ends it, or 0. */
static int populate_until_error(int filler, uint64_t *from)
{
	while (*from < MANY) {
		long n = populate_offset(filler, *from, MANY - *from, content + *from * 512);

		if (n < 0)
			return errno;
		*from += n;
	}
	return 0;
}

/* In a process of the group, of which little is asked at its limit: its status. */
static int populate_in(const char *group, int filler, uint64_t from, const char *oom_score_adj)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		write_file("/proc/self/oom_score_adj", oom_score_adj);
		cgroup_enter(group);
		_exit(populate_until_error(filler, &from));
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid: errno %d", errno);
	return status;
}

/* What has come is whole, and less than all. */
static uint64_t expect_some(void)
{
	uint64_t done = fdinfo(m->view, "resident");

	TEST_ASSERT(done && done <= MANY / 2, "%lu pages of %u", done, MANY / 2);
	TEST_ASSERT_EQ(fdinfo(m->view, "allocated"), done);
	guest_expect(m, 0, done, 3);
	return done;
}

/* A task that must not be killed is told; with more memory it goes on. */
static void told_of_a_limit(void)
{
	const char *group;
	uint64_t done;
	int filler;

	group = limited(&filler);
	TEST_ASSERT_EQ(populate_in(group, filler, 0, "-1000"), ENOMEM << 8);
	done = expect_some();
	TEST_ERRNO(populate_offset(filler, 0, 1, content), EEXIST);
	TEST_ASSERT_EQ(populate_in(group, filler, done, "-1000"), ENOMEM << 8);
	TEST_ASSERT_EQ(fdinfo(m->view, "resident"), done);

	write_file(cgroup_path(group, "memory.max"), "max");
	TEST_ASSERT_EQ(populate_in(group, filler, done, "-1000"), 0);
	guest_expect(m, 0, MANY, 3);
}

/* As the kernel does by default. What he had populated stays, another goes on. */
static void killed_at_a_limit(void)
{
	const char *group;
	uint64_t done;
	int filler;

	group = limited(&filler);
	TEST_ASSERT_EQ(populate_in(group, filler, 0, "0"), SIGKILL);
	done = expect_some();
	TEST_ASSERT_EQ(populate_until_error(filler, &done), 0);
	guest_expect(m, 0, MANY, 3);
}

static const struct claim claims[] = {
	CLAIM(a_huge_page, "a huge page's memory populates, at any alignment"),
	CLAIM(a_file, "so does a file's, mapped shared or privately"),
	CLAIM(a_file_that_ends, "past a file's end it is EFAULT, and goes on when the file does"),
	CLAIM(a_bad_page, "a page with a memory error is EFAULT, and kills nobody"),
	CLAIM(a_private_page, "so is another inode's private page"),
	CLAIM(never_there_at_once, "two pages that are never there at once populate"),
	CLAIM(never_there_at_once_written, "they do by writev"),
	CLAIM(comes_and_goes, "a page that comes and goes is there, or EFAULT"),
	CLAIM(copies_that_fail, "a page that can be touched and not be copied is EFAULT"),
	CLAIM(nothing_is_lost, "nor is memory lost by content that did not come"),
	CLAIM(without_limits_on_mappings, "limits on what is mapped and locked do not count"),
	CLAIM(told_of_a_limit, "a cgroup's limit is ENOMEM; what came is whole, and goes on"),
	CLAIM(killed_at_a_limit, "or kills who populates; what came stays, others go on"),
};

CLAIMS_MAIN(claims);
