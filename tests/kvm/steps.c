// SPDX-License-Identifier: GPL-2.0-only
/*
 * What takes long, on an inode of 64 GiB: it lets other tasks run, and others get at
 * the inode meanwhile.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "claims.h"
#include "machine.h"
#include "paging.h"
#include "populate.h"
#include "sealing.h"

#define SIZE	(64ULL << 30)
#define LARGE	(claim_slowness() > 1 ? 384ULL << 20 : 1536ULL << 20) /* of pages that are there */
#define FREE	(32ULL << 30)		/* from here on none is, but for what others bring */

static int new_view(uint64_t flags)
{
	return vm_create_guest_memfd(vm_create_barebones(), SIZE, flags);
}

/*
 * Somebody who has the CPU for a moment, as often as it can be had: how often a call
 * let it go is in the caller's account of involuntary switches.
 */
static volatile bool stop;

static void *rival_thread(void *arg)
{
	struct timespec moment = { .tv_nsec = 200000 };

	(void)arg;
	while (!stop)
		nanosleep(&moment, NULL);
	return NULL;
}

static void run_on_one_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "errno %d", errno);
}

static pthread_t rival_start(void *(*thread)(void *), void *arg)
{
	struct sched_param param = { .sched_priority = 10 };
	pthread_attr_t attr;
	pthread_t rival;

	run_on_one_cpu();
	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &param);
	TEST_ASSERT(!pthread_create(&rival, &attr, thread, arg), "thread");
	return rival;
}

static long switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

static void present_lets_others_run(void)
{
	struct kvm_gmem_present_range ranges[4];
	struct kvm_gmem_present args = {
		.size = SIZE, .ranges = (uint64_t)ranges, .nr = ARRAY_SIZE(ranges),
	};
	int view = new_view(0);
	pthread_t rival;
	long before;

	require_pager();
	/* Pages that nobody has touched: not one is reported. */
	allocate_pages(view, 0, LARGE / PAGE_SIZE);
	rival = rival_start(rival_thread, NULL);
	before = switches();
	TEST_ASSERT(!ioctl(view, KVM_GMEM_PRESENT, &args), "errno %d", errno);
	before = switches() - before;
	stop = true;
	pthread_join(rival, NULL);
	TEST_ASSERT(!args.nr && !args.size, "%u ranges", args.nr);
	printf("%ld times\n", before);
	TEST_ASSERT(before >= 6, "others had the CPU %ld times", before);
}

/* Somebody who populates, page after page, and counts those while a call is at work. */
struct other {
	int view;
	volatile bool at_work;
	volatile uint64_t pages;
	unsigned int meanwhile;
};

static void *other_thread(void *arg)
{
	struct other *other = arg;

	for (;;) {
		bool at_work = other->at_work;

		if (populate_offset(other->view, FREE / PAGE_SIZE + other->pages, 1, NULL) != 1)
			break;
		other->pages++;
		other->meanwhile += at_work && other->at_work;
	}
	return NULL;
}

/* Two may be at the call's ends. */
static void expect_meanwhile(struct other *other, const char *call, unsigned int at_least)
{
	printf("%s: %u pages meanwhile\n", call, other->meanwhile);
	TEST_ASSERT(other->meanwhile >= at_least, "%s: %u pages meanwhile", call,
		    other->meanwhile);
	other->meanwhile = 0;
}

static void others_get_at_the_inode(void)
{
	struct other other = { };
	pthread_t thread;
	double until = 0;
	uint64_t missing;
	int pager, ret;

	require_pager();
	/* By single pages: see huge.c in kmod/gmem. */
	other.view = new_view(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	pager = __pager(other.view, 0, SIZE / PAGE_SIZE, 0);
	TEST_ASSERT_EQ(populate_offset(other.view, 0, LARGE / PAGE_SIZE, NULL),
		       (long)(LARGE / PAGE_SIZE));
	TEST_ASSERT(!pthread_create(&thread, NULL, other_thread, &other), "thread");
	while (!other.pages)
		usleep(1000);

	other.at_work = true;
	ret = detach(pager, 0, &missing);
	other.at_work = false;
	TEST_ASSERT(ret == -1 && errno == EBUSY, "DETACH: %d, errno %d", ret, errno);
	TEST_ASSERT(missing <= (SIZE - LARGE) / PAGE_SIZE &&
		    missing >= (SIZE - LARGE) / PAGE_SIZE - other.pages - 1,
		    "%lu missing", missing);
	expect_meanwhile(&other, "DETACH", 4);

	other.at_work = true;
	punch_pages(other.view, 0, LARGE / PAGE_SIZE);
	other.at_work = false;
	expect_meanwhile(&other, "a hole", 4);

	other.at_work = true;
	ret = detach(pager, KVM_GMEM_DETACH_FORCE, &missing);
	other.at_work = false;
	TEST_ASSERT(!ret, "DETACH: errno %d", errno);

	TEST_ASSERT_EQ(populate_offset(other.view, 0, LARGE / PAGE_SIZE, NULL),
		       (long)(LARGE / PAGE_SIZE));
	/* A page that is about to come is in use: EBUSY, and to be tried again. */
	do {
		other.meanwhile = 0;
		other.at_work = true;
		ret = __seal(other.view, KVM_GMEM_SEAL_WRITE);
		other.at_work = false;
		TEST_ASSERT(!ret || (errno == EBUSY && claim_is_patient(&until)),
			    "KVM_GMEM_SEAL: errno %d", errno);
	} while (ret);
	pthread_join(thread, NULL);
	expect_meanwhile(&other, "SEAL_WRITE", 4);
}

/* A pager that reads to nowhere, as often as it can: no event leaves. */
struct reader {
	int pager;
	void *nowhere;
	volatile unsigned int times;
};

static void *reader_thread(void *arg)
{
	struct timespec moment = { .tv_nsec = 200000 };
	struct reader *reader = arg;

	while (!stop) {
		nanosleep(&moment, NULL);
		TEST_ERRNO(read(reader->pager, reader->nowhere, sizeof(struct kvm_gmem_event)),
			   EFAULT);
		reader->times++;
	}
	return NULL;
}

/* A hole over as many removals as there can be, which it merges. */
static void pager_reads_beside_a_hole(void)
{
	uint64_t n = claim_times(KVM_GMEM_MAX_EVENTS);
	struct reader reader;
	unsigned int times;
	pthread_t thread;
	int view;

	require_pager();
	view = new_view(0);
	reader = (struct reader){
		.pager = __pager(view, 0, SIZE / PAGE_SIZE, 0), .nowhere = (void *)PAGE_SIZE,
	};
	for (uint64_t i = 0; i < n; i++)
		punch_pages(view, 2 * i, 1);
	thread = rival_start(reader_thread, &reader);
	times = reader.times;
	punch_pages(view, 0, 2 * n);
	times = reader.times - times;
	stop = true;
	pthread_join(thread, NULL);
	printf("%u times\n", times);
	TEST_ASSERT(times >= 16, "the pager has read %u times", times);
	expect_event(reader.pager, KVM_GMEM_EVENT_REMOVE, 0, 2 * n);
	TEST_ASSERT(!has_event(reader.pager, 0), "an event more");
}

static const struct claim claims[] = {
	SLOW_CLAIM(present_lets_others_run, 240,
		   "KVM_GMEM_PRESENT of pages without content lets other tasks run"),
	SLOW_CLAIM(pager_reads_beside_a_hole, 240,
		   "a pager reads while a hole's event is merged with 65,536 others"),
	SLOW_CLAIM(others_get_at_the_inode, 400,
		   "DETACH, a hole and a seal of WRITE let others get at the inode"),
};

CLAIMS_MAIN(claims);
