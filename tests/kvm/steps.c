// SPDX-License-Identifier: GPL-2.0-only
/*
 * What takes long, on an inode of 64 GiB: it lets other tasks run, and others get at
 * the inode meanwhile. A signal that is to end it does so in the midst of it.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "claims.h"
#include "machine.h"
#include "mapped.h"
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

/**
 * struct work - a call that takes long, in a process of its own
 * @call: makes it: 0, or -1 with errno
 * @seen: is there something to be seen of it? NULL: nothing but its CPU time
 * @at_work: so much of that, in microseconds, is a sign that it is at work
 * @view: of what
 * @pager: likewise
 * @begun: the process's CPU time when it began, in microseconds; 0: not yet
 * @error: its errno
 */
struct work {
	int (*call)(const struct work *work);
	bool (*seen)(const struct work *work);
	uint64_t at_work;
	int view, pager;
	volatile uint64_t begun;
	volatile int error;
};

#define AT_WORK	2000	/* of most of them, in microseconds */

static uint64_t cpu_time_us(clockid_t clock)
{
	struct timespec ts;

	TEST_ASSERT(!clock_gettime(clock, &ts), "errno %d", errno);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

static void note(int sig)
{
	(void)sig;
}

static struct work *new_work(int (*call)(const struct work *work), int view, int pager)
{
	struct work *work = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(work != MAP_FAILED, "mmap");
	*work = (struct work){
		.call = call, .at_work = AT_WORK, .view = view, .pager = pager,
	};
	return work;
}

static pid_t work_start(struct work *work)
{
	struct sigaction action = { .sa_handler = note };
	pid_t pid;

	work->begun = 0;
	work->error = 0;
	pid = fork();
	if (pid)
		return pid;
	sigaction(SIGUSR1, &action, NULL);
	work->begun = cpu_time_us(CLOCK_PROCESS_CPUTIME_ID);
	if (work->call(work))
		work->error = errno;
	_exit(0);
}

/* Waits for its end: how much CPU time it has had since it began, in microseconds. */
static uint64_t work_end(struct work *work, pid_t pid, int *status)
{
	siginfo_t info;
	clockid_t clock;
	uint64_t us;

	TEST_ASSERT(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT), "waitid");
	TEST_ASSERT(!clock_getcpuclockid(pid, &clock), "the clock of %d", pid);
	us = cpu_time_us(clock) - work->begun;
	TEST_ASSERT_EQ(waitpid(pid, status, 0), pid);
	return us;
}

/* Is it in the midst of it? */
static bool is_at_work(const struct work *work, pid_t pid)
{
	clockid_t clock;

	TEST_ASSERT(!clock_getcpuclockid(pid, &clock), "the clock of %d", pid);
	return work->begun && cpu_time_us(clock) - work->begun > work->at_work &&
	       (!work->seen || work->seen(work));
}

/* Has it end by a signal, in the midst of it. Returns what CPU time it took. */
static uint64_t interrupt(struct work *work, int sig)
{
	pid_t pid = work_start(work);
	int status;
	uint64_t us;

	while (!is_at_work(work, pid))
		usleep(100);
	kill(pid, sig);
	us = work_end(work, pid, &status);
	/* Or it was done when the signal came. */
	TEST_ASSERT(!status || (WIFSIGNALED(status) && WTERMSIG(status) == sig), "status %#x",
		    status);
	return us;
}

/* What all of it takes; @error is what comes of it. */
static uint64_t work_whole(struct work *work, int error)
{
	int status;
	uint64_t us = work_end(work, work_start(work), &status);

	TEST_ASSERT(!status && work->error == error, "status %#x, errno %d", status, work->error);
	return us;
}

/*
 * It ends by the signal after less than half of its time. It may have got further before the
 * signal came: the least of five tries counts. @check: what is left each time.
 */
static void expect_ends(const char *name, struct work *work, int sig, int error,
			void (*check)(const struct work *work))
{
	uint64_t least = ~0UL, whole;

	for (int i = 0; i < 5; i++) {
		uint64_t us = interrupt(work, sig);

		/* It may have been done when the signal came. */
		if (sig != SIGKILL && work->error != EINTR)
			continue;
		least = min(least, us);
		if (check)
			check(work);
	}
	whole = work_whole(work, error);
	printf("%s: signal %d ends it after %lu us of %lu\n", name, sig, least, whole);
	TEST_ASSERT(least < whole / 2, "%s: signal %d ends it after %lu us of %lu", name, sig,
		    least, whole);
}

static int make_present(const struct work *work)
{
	struct kvm_gmem_present_range ranges[4];
	struct kvm_gmem_present args = {
		.size = SIZE, .ranges = (uint64_t)ranges, .nr = ARRAY_SIZE(ranges),
	};

	return ioctl(work->view, KVM_GMEM_PRESENT, &args);
}

static void present_is_killed(void)
{
	struct work *work = new_work(make_present, new_view(0), -1);

	require_pager();
	allocate_pages(work->view, 0, LARGE / PAGE_SIZE);
	expect_ends("KVM_GMEM_PRESENT", work, SIGKILL, 0, NULL);
}

/* It looks for the signal after each 1 GiB, whether there are pages in it or not. */
#define SPREAD	32

static int make_detach(const struct work *work)
{
	uint64_t missing;

	return detach(work->pager, 0, &missing);
}

static void expect_owed(const struct work *work)
{
	TEST_ASSERT_EQ(answer(work->pager, KVM_GMEM_ANSWER_FAIL, SIZE / PAGE_SIZE - 1, 1, NULL), 0);
}

static void detach_is_killed(void)
{
	uint64_t pages = LARGE / SPREAD / PAGE_SIZE;
	struct work *work;

	require_pager();
	work = new_work(make_detach, new_view(MMAP_SHARED), -1);
	for (uint64_t i = 0; i < SPREAD; i++)
		TEST_ASSERT_EQ(populate_offset(work->view, i * (SIZE / SPREAD / PAGE_SIZE), pages,
					       NULL), (long)pages);
	work->pager = __pager(work->view, 0, SIZE / PAGE_SIZE, 0);
	expect_ends("DETACH", work, SIGKILL, EBUSY, expect_owed);
}

/* Every other page is owed, each a range. */
#define RANGES	(claim_slowness() > 1 ? 4096ULL : 32768ULL)

static int make_detach_by_force(const struct work *work)
{
	uint64_t missing;

	return detach(work->pager, KVM_GMEM_DETACH_FORCE, &missing);
}

/* An access to the page gets an error, which is another one while the page is owed. */
static bool has_failed(struct machine *m, uint64_t page)
{
	struct kvm_pre_fault_memory range = {
		.gpa = MACHINE_GPA + page * PAGE_SIZE, .size = PAGE_SIZE,
	};
	int ret = ioctl(m->vcpu->fd, KVM_PRE_FAULT_MEMORY, &range);

	TEST_ASSERT(ret == -1 && (errno == EHWPOISON || errno == EAGAIN), "%d, errno %d", ret,
		    errno);
	return errno == EHWPOISON;
}

/* They fail in order: how many have? */
static uint64_t failed_ranges(struct machine *m)
{
	uint64_t low = 0, high = RANGES;

	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (has_failed(m, 2 * middle))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* How many of the ranges had failed when it was killed, after it had counted. */
static uint64_t failed_when_killed(struct work *work)
{
	struct machine *m = machine_create(2 * RANGES);
	uint64_t failed;

	work->pager = __pager(m->view, 0, 2 * RANGES, 0);
	for (uint64_t i = 0; i < RANGES; i++)
		punch_pages(m->view, 2 * i + 1, 1);
	work->call = make_detach;
	work->at_work = work_whole(work, EBUSY) + AT_WORK;
	work->call = make_detach_by_force;
	interrupt(work, SIGKILL);
	failed = failed_ranges(m);
	close(work->pager);
	machine_free(m);
	return failed;
}

static void force_is_killed(void)
{
	struct work *work = new_work(make_detach_by_force, -1, -1);
	bool ended = false;

	require_pager();
	/* On a busy host the signal comes before the first range, as a rule, or long after. */
	for (int i = 0; i < 15 && !ended; i++) {
		uint64_t failed = failed_when_killed(work);

		printf("%lu of %llu ranges had failed\n", failed, RANGES);
		ended = failed && failed < RANGES / 2;
	}
	TEST_ASSERT(ended, "it did not end between the first range and half of them");
}

static int make_seal(const struct work *work)
{
	return __seal(work->view, KVM_GMEM_SEAL_WRITE);
}

/* No seal, and the inode can be mapped again. */
static void expect_no_seal(const struct work *work)
{
	struct kvm_gmem_seals args;
	void *memory;

	TEST_ASSERT(!ioctl(work->view, KVM_GMEM_GET_SEALS, &args), "errno %d", errno);
	TEST_ASSERT_EQ(args.seals, 0ULL);
	memory = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, work->view, 0);
	TEST_ASSERT(memory != MAP_FAILED, "mmap: errno %d", errno);
	munmap(memory, PAGE_SIZE);
}

static void seal_is_killed(void)
{
	struct work *work;

	require_seals();
	work = new_work(make_seal, new_view(MMAP_SHARED), -1);
	TEST_ASSERT_EQ(populate_offset(work->view, 0, LARGE / PAGE_SIZE, NULL),
		       (long)(LARGE / PAGE_SIZE));
	expect_ends("SEAL_WRITE", work, SIGKILL, 0, expect_no_seal);
}

static int make_allocate(const struct work *work)
{
	return fallocate(work->view, FALLOC_FL_KEEP_SIZE, 0, LARGE);
}

/* What was allocated stays; here it is taken away, for the next one. */
static void expect_part(const struct work *work)
{
	uint64_t pages = resident(work->view);

	TEST_ASSERT(pages && pages < LARGE / PAGE_SIZE, "%lu pages", pages);
	punch_pages(work->view, 0, SIZE / PAGE_SIZE);
}

static bool has_pages(const struct work *work)
{
	return resident(work->view);
}

static void allocate_ends(void)
{
	struct work *work = new_work(make_allocate, new_view(0), -1);

	work->seen = has_pages;
	expect_ends("fallocate", work, SIGKILL, 0, expect_part);
	punch_pages(work->view, 0, SIZE / PAGE_SIZE);
	expect_ends("fallocate", work, SIGUSR1, 0, expect_part);
}

static const struct claim claims[] = {
	SLOW_CLAIM(present_lets_others_run, 240,
		   "KVM_GMEM_PRESENT of pages without content lets other tasks run"),
	SLOW_CLAIM(pager_reads_beside_a_hole, 240,
		   "a pager reads while a hole's event is merged with 65,536 others"),
	SLOW_CLAIM(others_get_at_the_inode, 400,
		   "DETACH, a hole and a seal of WRITE let others get at the inode"),
	SLOW_CLAIM(present_is_killed, 240, "KVM_GMEM_PRESENT ends when it is killed"),
	SLOW_CLAIM(detach_is_killed, 240, "DETACH that counts does; all is owed as before"),
	SLOW_CLAIM(force_is_killed, 240, "DETACH by force does; the rest is owed"),
	SLOW_CLAIM(seal_is_killed, 240, "a seal of WRITE does; there is no seal"),
	SLOW_CLAIM(allocate_ends, 240,
		   "fallocate does, and ends by any signal; what was allocated stays"),
};

CLAIMS_MAIN(claims);
