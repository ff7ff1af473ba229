// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that are to become private, and to which others refer: lists of the kernel's, pipes,
 * pins and system calls.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "claims.h"
#include "mapped.h"
#include "tracing.h"

#define PAGES	16
#define PRIVATE	KVM_MEMORY_ATTRIBUTE_PRIVATE

static struct machine *shared_machine(void)
{
	require_convert();
	return mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED);
}

/* LRU batches hold what was faulted just now; on this CPU, and on another, if there is one. */
static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

static void just_faulted(void)
{
	struct machine *m = shared_machine();

	for (int i = 0; i < 300; i++) {
		uint64_t page = i % PAGES;

		pin_to(i & 1);
		if (i % 3)
			host_page(m, page)[0] = i;
		else
			guest_touch(m, page, 1);
		pin_to(i >> 1 & 1);
		make_private(m->view, page, 1);
		make_shared(m->view, page, 1);
		punch_pages(m->view, page, 1);
	}
}

/* A page in a pipe is referenced until it is read. */
static void vmsplice_page(int pipe_end, void *page)
{
	struct iovec iov = { page, PAGE_SIZE };

	TEST_ASSERT_EQ(vmsplice(pipe_end, &iov, 1, 0), (ssize_t)PAGE_SIZE);
}

static void held_page_is_in_the_way(void)
{
	struct machine *m = shared_machine();
	static uint64_t page[PAGE_SIZE / 8];
	uint64_t in_the_way = ~0UL;
	int fds[2];

	TEST_ASSERT(!pipe(fds), "pipe");
	host_write(m, 0, PAGES, 1);
	vmsplice_page(fds[1], host_page(m, 5));
	vmsplice_page(fds[1], host_page(m, 7));

	TEST_ERRNO(__convert(m->view, 2, 10, PRIVATE, &in_the_way), EAGAIN);
	TEST_ASSERT_EQ(in_the_way, 5UL);
	/* Nothing has changed, before it or after it. */
	host_expect(m, 0, PAGES, 1);
	guest_expect(m, 0, PAGES, 1);
	make_private(m->view, 0, 5);
	make_private(m->view, 8, 2);

	TEST_ASSERT_EQ(read(fds[0], page, PAGE_SIZE), (ssize_t)PAGE_SIZE);
	TEST_ASSERT_EQ(page[3], pattern_word(1, 5, 3));
	TEST_ERRNO(__convert(m->view, 0, PAGES, PRIVATE, &in_the_way), EAGAIN);
	TEST_ASSERT_EQ(in_the_way, 7UL);
	TEST_ASSERT_EQ(read(fds[0], page, PAGE_SIZE), (ssize_t)PAGE_SIZE);
	make_private(m->view, 0, PAGES);
	host_expect_sigbus(m, 0, PAGES);
}

static void never_waits_long(void)
{
	struct machine *m = shared_machine();
	struct timespec begin, end;
	long least = 1000;
	int fds[2];

	TEST_ASSERT(!pipe(fds), "pipe");
	host_write(m, 0, PAGES, 1);
	vmsplice_page(fds[1], host_page(m, 5));
	/* What takes long once may be another process that has the CPU. */
	for (int i = 0; i < 3 && least >= 5; i++) {
		clock_gettime(CLOCK_MONOTONIC, &begin);
		TEST_ERRNO(__convert(m->view, 0, PAGES, PRIVATE, NULL), EAGAIN);
		clock_gettime(CLOCK_MONOTONIC, &end);
		if (end.tv_sec - begin.tv_sec < least)
			least = end.tv_sec - begin.tv_sec;
	}
	TEST_ASSERT(least < 5, "it took %ld s, three times", least);
}

/* <linux/io_uring.h> does not go with upstream's headers. */
#define IORING_REGISTER_BUFFERS		0
#define IORING_UNREGISTER_BUFFERS	1

static int uring_register(void *p, size_t len, int *ring)
{
	uint64_t params[15] = { 0 };	/* struct io_uring_params */
	struct iovec iov = { p, len };

	*ring = syscall(SYS_io_uring_setup, 4, params);
	TEST_ASSERT(*ring >= 0, "io_uring_setup: errno %d", errno);
	return syscall(SYS_io_uring_register, *ring, IORING_REGISTER_BUFFERS, &iov, 1);
}

static void pinned_page_is_in_the_way(void)
{
	struct machine *m = shared_machine();
	uint64_t in_the_way = ~0UL;
	int ring;

	host_write(m, 0, PAGES, 1);
	TEST_ASSERT(!uring_register(host_page(m, 3), 2 * PAGE_SIZE, &ring),
		    "IORING_REGISTER_BUFFERS: errno %d", errno);
	TEST_ERRNO(__convert(m->view, 0, PAGES, PRIVATE, &in_the_way), EAGAIN);
	TEST_ASSERT_EQ(in_the_way, 3UL);
	host_expect(m, 0, PAGES, 1);
	TEST_ASSERT(!syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0),
		    "IORING_UNREGISTER_BUFFERS: errno %d", errno);
	make_private(m->view, 0, PAGES);
}

/* What is pinned is not looked for in the lists of every CPU: these are the whole host's. */
static void pinned_page_costs_others_nothing(void)
{
	struct machine *m = shared_machine();
	int ring;

	host_write(m, 0, PAGES, 1);
	TEST_ASSERT(!uring_register(host_page(m, 3), PAGE_SIZE, &ring),
		    "IORING_REGISTER_BUFFERS: errno %d", errno);
	trace_calls_start("gmem_drain_work");
	for (int i = 0; i < 20; i++)
		TEST_ERRNO(__convert(m->view, 3, 1, PRIVATE, NULL), EAGAIN);
	TEST_ASSERT_EQ(trace_calls(), 0UL);
}

#define TOGETHER	8	/* calls, each with a page of its own that is held */

static struct machine *together;

static void *convert_held_page(void *page)
{
	TEST_ERRNO(__convert(together->view, (uintptr_t)page, 1, PRIVATE, NULL), EAGAIN);
	return NULL;
}

static volatile bool hogging;

/* For two seconds, of which the scheduler leaves others a part. */
static void *hog_a_cpu(void *arg __maybe_unused)
{
	struct sched_param param = { .sched_priority = 1 };
	time_t end = time(NULL) + 2;

	pin_to(1);
	TEST_ASSERT(!sched_setscheduler(0, SCHED_FIFO, &param), "sched_setscheduler");
	hogging = true;
	while (time(NULL) < end)
		;
	return NULL;
}

/*
 * All CPUs are to drain their lists, and one has no time for it at first. Calls that come
 * meanwhile wait for the next drain, which is for all of them.
 */
static void calls_share_a_drain(void)
{
	pthread_t hog, threads[TOGETHER];
	unsigned long works;
	double until = 0;
	int fds[2];

	if (sysconf(_SC_NPROCESSORS_ONLN) != 2)
		claim_skip("not two CPUs");
	together = shared_machine();
	host_write(together, 0, PAGES, 1);
	TEST_ASSERT(!pipe(fds), "pipe");
	for (int i = 0; i < TOGETHER; i++)
		vmsplice_page(fds[1], host_page(together, i));
	trace_calls_start("gmem_drain_work");
	pin_to(0);
	TEST_ASSERT(!pthread_create(&hog, NULL, hog_a_cpu, NULL), "pthread_create");
	while (!hogging && claim_is_patient(&until))
		;
	for (uintptr_t i = 0; i < TOGETHER; i++)
		TEST_ASSERT(!pthread_create(&threads[i], NULL, convert_held_page, (void *)i),
			    "pthread_create");
	for (int i = 0; i < TOGETHER; i++)
		pthread_join(threads[i], NULL);
	works = trace_calls();
	pthread_join(hog, NULL);
	TEST_ASSERT(works <= TOGETHER, "%lu works", works);
}

/* Each way that userspace has to make the kernel read or write an address. */
static int try_process_vm(void *p)
{
	char byte;
	struct iovec local = { &byte, 1 }, remote = { p, 1 };

	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 1)
		return errno;
	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == 1 ? 0 : errno;
}

static int try_read_into(void *p)
{
	int fd = open("/dev/zero", O_RDONLY), r;

	r = read(fd, p, PAGE_SIZE) == PAGE_SIZE ? 0 : errno;
	close(fd);
	return r;
}

static int try_write_from(void *p)
{
	int fds[2], r;

	TEST_ASSERT(!pipe(fds), "pipe");
	r = write(fds[1], p, 1) == 1 ? 0 : errno;
	close(fds[0]);
	close(fds[1]);
	return r;
}

static int try_vmsplice(void *p)
{
	struct iovec iov = { p, PAGE_SIZE };
	int fds[2], r;

	TEST_ASSERT(!pipe(fds), "pipe");
	r = vmsplice(fds[1], &iov, 1, 0) == PAGE_SIZE ? 0 : errno;
	close(fds[0]);
	close(fds[1]);
	return r;
}

static int try_direct_io(void *p)
{
	int fd = open("/tmp/convert-direct", O_RDWR | O_CREAT | O_DIRECT, 0600), r;

	TEST_ASSERT(fd >= 0, "O_DIRECT: errno %d", errno);
	r = pwrite(fd, p, PAGE_SIZE, 0) == PAGE_SIZE ? 0 : errno;
	close(fd);
	unlink("/tmp/convert-direct");
	return r;
}

static int try_io_uring(void *p)
{
	int ring, r;

	r = uring_register(p, PAGE_SIZE, &ring) ? errno : 0;
	/* Closing the ring unpins later. */
	syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
	close(ring);
	return r;
}

static int try_ptrace(void *p)
{
	int status, r;
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	errno = 0;
	ptrace(PTRACE_PEEKDATA, pid, p, 0);
	r = errno;
	if (ptrace(PTRACE_POKEDATA, pid, p, 1) && !r)
		r = -errno;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return r;
}

static const struct {
	const char *name;
	int (*try)(void *p);
	int err;
} ways[] = {
	{ "process_vm_readv and writev", try_process_vm, EFAULT },
	{ "read into it", try_read_into, EFAULT },
	{ "write from it", try_write_from, EFAULT },
	{ "vmsplice", try_vmsplice, EFAULT },
	{ "O_DIRECT", try_direct_io, EFAULT },
	{ "io_uring's registered buffers", try_io_uring, EFAULT },
	{ "ptrace", try_ptrace, EIO },
};

static void system_calls_too(void)
{
	struct machine *m = shared_machine();

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		int r;

		make_shared(m->view, 0, PAGES);
		guest_write(m, 0, PAGES, 1);
		r = ways[i].try(host_page(m, 1));
		TEST_ASSERT(!r, "%s of a shared page: errno %d", ways[i].name, r);

		guest_write(m, 0, PAGES, 2);
		make_private(m->view, 0, PAGES);
		r = ways[i].try(host_page(m, 1));
		TEST_ASSERT(r == ways[i].err, "%s of a private page: errno %d, not %d",
			    ways[i].name, r, ways[i].err);
		guest_expect(m, 0, PAGES, 2);
	}
}

static const struct claim claims[] = {
	CLAIM(just_faulted, "pages that were touched just now, on any CPU, convert at once"),
	CLAIM(held_page_is_in_the_way,
	      "a page in a pipe is EAGAIN with its offset and nothing changed"),
	CLAIM(never_waits_long, "a page that stays held makes no conversion wait for long"),
	CLAIM(pinned_page_is_in_the_way, "so is one that io_uring has pinned"),
	CLAIM(pinned_page_costs_others_nothing, "which no CPU has to drain its lists for"),
	CLAIM(calls_share_a_drain, "of calls that wait for that at once, many share one"),
	CLAIM(system_calls_too,
	      "system calls with a shared page's address work, with a private one's fail"),
};

CLAIMS_MAIN(claims);
