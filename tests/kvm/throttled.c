// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process that is held up holds up nobody else: by memory that does not come, by its memory
 * cgroup's memory.high, by its share of the CPU. Others that have a part of the same inode, or
 * nothing to do with it, go on; and it holds no memory that nobody pays for.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "asleep.h"
#include "cgroup.h"
#include "chunks.h"
#include "mapped.h"
#include "meminfo.h"
#include "paging.h"
#include "populate.h"
#include "sealing.h"

#define FILLERS	256
#define BATCH	32UL	/* pages that are read before they are installed */
#define SOON	2.0	/* s; without the mends 4 s, and 18 s */

static struct machine *m;
static pthread_barrier_t all_are_there;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Populates 2 MiB from what never comes. */
static void *fill(void *view)
{
	struct kvm_gmem_populate args = {
		.size = CHUNK_PAGES * PAGE_SIZE,
		.from = (uintptr_t)m->host,
	};

	pthread_barrier_wait(&all_are_there);
	pthread_barrier_wait(&all_are_there);
	ioctl(*(int *)view, KVM_GMEM_POPULATE, &args);
	return NULL;
}

/* Each of them would have @each pages, that no cgroup knows of. */
static void content_that_does_not_come(uint64_t flags, uint64_t each)
{
	pthread_t fillers[FILLERS];
	uint64_t before, after;
	int view;

	require_pager();
	m = mapped_create(KVM_X86_DEFAULT_VM, CHUNK_PAGES, MMAP_SHARED);
	pager_of(m);
	view = vm_create_guest_memfd(m->vm, CHUNK_PAGES * PAGE_SIZE, flags);
	pthread_barrier_init(&all_are_there, NULL, FILLERS + 1);
	for (int i = 0; i < FILLERS; i++)
		TEST_ASSERT(!pthread_create(&fillers[i], NULL, fill, &view), "thread %d", i);
	pthread_barrier_wait(&all_are_there);
	before = memory_free();
	pthread_barrier_wait(&all_are_there);
	for (int i = 0; i < FILLERS; i++)
		wait_asleep(thread_id(fillers[i]), IN_PAGER_WAIT);
	after = memory_free();
	TEST_ASSERT(after + FILLERS * each * PAGE_SIZE / 2 > before,
		    "%lu bytes are free, there were %lu", after, before);
}

static void folios_of_content_that_does_not_come(void)
{
	content_that_does_not_come(0, CHUNK_PAGES);
}

static void chunks_of_content_that_does_not_come(void)
{
	chunks_when("fits");
	content_that_does_not_come(MMAP_SHARED, CHUNK_PAGES);
}

static void pages_of_content_that_does_not_come(void)
{
	chunks_when("never");
	content_that_does_not_come(MMAP_SHARED, BATCH);
}

static const char *group;

/* What @work does in a cgroup whose @file says @text, until end_throttled(). */
static pid_t begin_throttled(const char *file, const char *text, void (*work)(void))
{
	pid_t pid;

	group = cgroup_create("throttled");
	write_file(cgroup_path(group, file), text);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (pid)
		return pid;
	cgroup_enter(group);
	work();
	_exit(0);
}

/* Unthrottled first: else it has not even the time to die. */
static void end_throttled(pid_t pid, const char *file)
{
	write_file(cgroup_path(group, file), "max");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The longest of holes elsewhere in the inode, while @pid brings pages. */
static double longest_hole(pid_t pid, uint64_t page)
{
	double longest = 0, until = now() + 10;

	while (now() < until) {
		double t = now();

		punch_pages(m->view, page, 1);
		t = now() - t;
		longest = t > longest ? t : longest;
		usleep(10000);
	}
	end_throttled(pid, "memory.high");
	return longest;
}

#define BIG	(64 * CHUNK_PAGES)	/* 128 MiB */

static void allocate_all(void)
{
	allocate_pages(m->view, 0, BIG);
}

/* By one system call: what it is over the limit is not made up for on the way out of each. */
static void touch_all(void)
{
	int zero = open("/dev/zero", O_RDONLY);

	TEST_ASSERT(read(zero, m->host, BIG * PAGE_SIZE) > 0, "read /dev/zero");
}

static void behind_memory_high(void (*work)(void))
{
	double longest;

	chunks_when("never");
	cgroups_begin();
	m = mapped_create(KVM_X86_DEFAULT_VM, BIG + 1, MMAP_SHARED);
	longest = longest_hole(begin_throttled("memory.high", "4M", work), BIG);
	TEST_ASSERT(resident(m->view) > 1024, "it was not throttled yet");
	TEST_ASSERT(longest < SOON, "a hole took %.2f s", longest);
}

static void a_hole_beside_fallocate(void)
{
	behind_memory_high(allocate_all);
}

static void a_hole_beside_host_faults(void)
{
	behind_memory_high(touch_all);
}

/* Memory that has nothing to do with @m comes by 2 MiB, and goes. */
static struct machine *strangers;

static void touch_chunks(void)
{
	for (;;) {
		for (uint64_t page = 0; page < BIG; page += CHUNK_PAGES)
			*(volatile uint64_t *)host_page(strangers, page) = 1;
		punch_pages(strangers->view, 0, BIG);
	}
}

/* A stranger has a two-hundredth of a CPU. */
static void a_touch_beside_a_strangers(void)
{
	double longest = 0, until;
	pid_t pid;

	chunks_when("fits");
	cgroups_begin();
	write_file(cgroup_path("", "cgroup.subtree_control"), "+cpu");
	strangers = mapped_create(KVM_X86_DEFAULT_VM, BIG, MMAP_SHARED);
	pid = begin_throttled("cpu.max", "5000 1000000", touch_chunks);
	m = mapped_create(KVM_X86_DEFAULT_VM, BIG, MMAP_SHARED);
	until = now() + 10;
	while (now() < until) {
		for (uint64_t page = 0; page < BIG; page += CHUNK_PAGES) {
			double t = now();

			*(volatile uint64_t *)host_page(m, page) = 1;
			t = now() - t;
			longest = t > longest ? t : longest;
		}
		punch_pages(m->view, 0, BIG);
	}
	end_throttled(pid, "cpu.max");
	TEST_ASSERT(longest < SOON, "a touch took %.2f s", longest);
}

/* Punches all but the first 2 MiB, and has no time to come to the end of it. */
static void punch_the_rest(void)
{
	punch_pages(m->view, CHUNK_PAGES, BIG - CHUNK_PAGES);
}

static uint64_t *present;

static void *fill_the_first(void *arg __maybe_unused)
{
	pthread_barrier_wait(&all_are_there);
	pthread_barrier_wait(&all_are_there);
	populate_offset(m->view, 0, CHUNK_PAGES, present);
	return NULL;
}

/*
 * The hole holds invalidate_lock meanwhile. Each of those who wait for it would have 2 MiB, or
 * @each pages.
 */
static void waiting_for_a_lock(const char *chunks, uint64_t each)
{
	pthread_t fillers[FILLERS];
	uint64_t before, after;
	double until = 0;
	pid_t pid;

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	cgroups_begin();
	write_file(cgroup_path("", "cgroup.subtree_control"), "+cpu");
	chunks_when(chunks);
	m = mapped_create(KVM_X86_DEFAULT_VM, BIG, MMAP_SHARED);
	allocate_pages(m->view, CHUNK_PAGES, BIG - CHUNK_PAGES);
	present = pattern_pages(0, CHUNK_PAGES, 3);
	pthread_barrier_init(&all_are_there, NULL, FILLERS + 1);
	for (int i = 0; i < FILLERS; i++)
		TEST_ASSERT(!pthread_create(&fillers[i], NULL, fill_the_first, NULL),
			    "thread %d", i);
	pthread_barrier_wait(&all_are_there);

	pid = begin_throttled("cpu.max", "1000 1000000", punch_the_rest);
	while (resident(m->view) == BIG - CHUNK_PAGES && claim_is_patient(&until))
		;
	before = memory_free();
	pthread_barrier_wait(&all_are_there);
	for (int i = 0; i < FILLERS; i++)
		wait_asleep(thread_id(fillers[i]), IN_POPULATE);
	after = memory_free();
	TEST_ASSERT(resident(m->view) > CHUNK_PAGES, "the hole is done");
	end_throttled(pid, "cpu.max");
	for (int i = 0; i < FILLERS; i++)
		pthread_join(fillers[i], NULL);
	TEST_ASSERT(!memcmp(m->host, present, CHUNK_PAGES * PAGE_SIZE), "the content is another");
	TEST_ASSERT(after + FILLERS * each * PAGE_SIZE / 2 > before,
		    "%lu bytes are free, there were %lu", after, before);
}

static void chunks_that_wait_for_a_lock(void)
{
	waiting_for_a_lock("fits", CHUNK_PAGES);
}

static void pages_that_wait_for_a_lock(void)
{
	waiting_for_a_lock("never", BATCH);
}

static const struct claim claims[] = {
	CLAIM(folios_of_content_that_does_not_come,
	      "populating from memory that does not come holds no folio of 2 MiB"),
	CLAIM(chunks_of_content_that_does_not_come, "... no 2 MiB that are no folio"),
	CLAIM(pages_of_content_that_does_not_come, "... no pages"),
	CLAIM(chunks_that_wait_for_a_lock,
	      "populating behind a hole that has no CPU holds no 2 MiB"),
	CLAIM(pages_that_wait_for_a_lock, "... no more than a page"),
	SLOW_CLAIM(a_hole_beside_fallocate, 60,
		   "a hole does not wait for fallocate behind memory.high"),
	SLOW_CLAIM(a_hole_beside_host_faults, 60,
		   "a hole does not wait for host faults behind memory.high"),
	SLOW_CLAIM(a_touch_beside_a_strangers, 60,
		   "2 MiB do not wait for a stranger's, who has no CPU to clear it"),
};

CLAIMS_MAIN(claims);
