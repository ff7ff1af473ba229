// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parameter gmem_kernel_faults: do system calls wait for a page that a pager owes?
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "claims.h"
#include "mapped.h"
#include "paging.h"

#define PARAM	"/sys/module/kvm/parameters/gmem_kernel_faults"
#define NOBODY	65534

static struct machine *m;
static int pager, param = -1;

static void restore(void)
{
	if (param < 0)
		param = open(PARAM, O_WRONLY);
	if (write(param, "Y", 1) != 1)
		fprintf(stderr, PARAM ": errno %d\n", errno);
}

static void begin(const char *wait)
{
	require_pager();
	param = open(PARAM, O_WRONLY);
	if (param < 0)
		claim_skip("these modules have no gmem_kernel_faults");
	atexit(restore);
	TEST_ASSERT_EQ(write(param, wait, 1), 1L);
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGING_PAGES, MMAP_SHARED);
	pager = pager_of(m);
}

/* A system call that writes to page @page: its result, or -errno, in a thread. */
struct call {
	uint64_t page;
	uid_t user;
	pthread_t thread;
	long result;
};

static void *call(void *arg)
{
	struct call *c = arg;
	int zero = open("/dev/zero", O_RDONLY);

	/* Of this thread alone. */
	if (c->user)
		TEST_ASSERT(!syscall(SYS_setresuid, c->user, c->user, c->user), "setresuid");
	c->result = read(zero, host_page(m, c->page), 8);
	if (c->result < 0)
		c->result = -errno;
	close(zero);
	return NULL;
}

static void begin_call(struct call *c)
{
	TEST_ASSERT(!pthread_create(&c->thread, NULL, call, c), "pthread_create");
	expect_event(pager, KVM_GMEM_EVENT_FAULT, c->page, 1);
}

static void expect_it_waits(struct call *c)
{
	begin_call(c);
	wait_asleep(thread_id(c->thread), IN_PAGER_WAIT);
	copy(pager, 3, c->page, 1);
	pthread_join(c->thread, NULL);
	TEST_ASSERT_EQ(c->result, 8L);
}

static void waits(void)
{
	struct call c = { .page = 7, .user = NOBODY };

	begin("Y");
	expect_it_waits(&c);
}

static void does_not_wait(void)
{
	struct call c = { .page = 7, .user = NOBODY };

	begin("N");
	begin_call(&c);
	pthread_join(c.thread, NULL);
	TEST_ASSERT_EQ(c.result, (long)-EFAULT);
	/* It was asked for, and works when it is there. */
	copy(pager, 3, 7, 1);
	TEST_ASSERT_EQ(host_page(m, 7)[0], pattern_word(3, 7, 0));
}

static void with_the_capability(void)
{
	struct call c = { .page = 7 };

	begin("N");
	expect_it_waits(&c);
}

static void *load(void *arg)
{
	TEST_ASSERT(!syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY), "setresuid");
	return (void *)*(volatile uint64_t *)arg;
}

static void loads_wait(void)
{
	pthread_t thread;
	void *found;

	begin("N");
	TEST_ASSERT(!pthread_create(&thread, NULL, load, host_page(m, 7)), "pthread_create");
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 7, 1);
	wait_asleep(thread_id(thread), IN_PAGER_WAIT);
	copy(pager, 3, 7, 1);
	pthread_join(thread, &found);
	TEST_ASSERT_EQ((uint64_t)found, pattern_word(3, 7, 0));
}

static void *run(void *arg)
{
	TEST_ASSERT(!syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY), "setresuid");
	return (void *)(long)guest_try_expect(arg, 7, 3);
}

/* Its memory is the mapping, by a memslot of the kind that has no guest memory inode. */
static void guests_wait(void)
{
	struct machine *other;
	pthread_t thread;
	void *err;

	begin("N");
	other = machine_of_type(KVM_X86_DEFAULT_VM, PAGING_PAGES);
	vm_set_user_memory_region2(other->vm, MACHINE_SLOT, 0, MACHINE_GPA,
				   PAGING_PAGES * PAGE_SIZE, m->host, -1, 0);
	TEST_ASSERT(!pthread_create(&thread, NULL, run, other), "pthread_create");
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 7, 1);
	wait_asleep(thread_id(thread), IN_PAGER_WAIT);
	copy(pager, 3, 7, 1);
	pthread_join(thread, &err);
	TEST_ASSERT_EQ((long)err, 0L);
	machine_free(other);
}

#define COUNTER	9	/* the page in which the guest below counts */
#define WAITED	1

static void guest_count(void)
{
	volatile uint64_t *counter = (uint64_t *)(MACHINE_GVA + COUNTER * PAGE_SIZE);

	for (;;)
		++*counter;
}

/*
 * The kernel writes to the thread's area for restartable sequences when it goes on after it was
 * moved to another CPU, as one of the works that KVM_RUN does on its way.
 */
static void *run_with_works(void *area)
{
	void *libc = (char *)__builtin_thread_pointer() + __rseq_offset;

	TEST_ASSERT(!syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY), "setresuid");
	TEST_ASSERT(!syscall(SYS_rseq, libc, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG),
		    "unregister rseq: errno %d", errno);
	TEST_ASSERT(!syscall(SYS_rseq, area, 32, 0, RSEQ_SIG), "rseq: errno %d", errno);
	machine_call(m, guest_count, 0, 0, 0);
	return NULL;
}

static void move_to(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	TEST_ASSERT(!sched_setaffinity(tid, sizeof(set), &set), "sched_setaffinity");
}

/* In a process of its own, which the failed write ends. */
static void do_a_work_on_an_owed_page(void)
{
	pthread_t thread;
	double until = 0;
	void *area;
	pid_t tid;

	begin("N");
	copy(pager, 0, COUNTER, 1);
	area = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(area != MAP_FAILED, "mmap");
	TEST_ASSERT(!pthread_create(&thread, NULL, run_with_works, area), "pthread_create");
	tid = thread_id(thread);
	while (host_page(m, COUNTER)[0] == pattern_word(0, COUNTER, 0) && claim_is_patient(&until))
		;

	TEST_ASSERT(mmap(area, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, m->view,
			 7 * PAGE_SIZE) == area, "mmap");
	for (int cpu = 0; claim_is_patient(&until); cpu = !cpu) {
		move_to(tid, cpu);
		if (is_asleep(tid, IN_PAGER_WAIT))
			_exit(WAITED);
	}
	TEST_FAIL("nothing was written");
}

static void works_do_not_wait(void)
{
	int status;
	pid_t pid;

	require_pager();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		claim_skip("one CPU");
	pid = fork();
	if (!pid)
		do_a_work_on_an_owed_page();
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid: errno %d", errno);
	restore();
	TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "status %#x", status);
}

static const struct claim claims[] = {
	CLAIM(waits, "Y: a system call waits for an owed page, whoever calls"),
	CLAIM(does_not_wait, "N: that of a task without privilege fails; the page is asked for"),
	CLAIM(with_the_capability, "N: that of a task with CAP_SYS_PTRACE waits"),
	CLAIM(loads_wait, "N: a load of a task without privilege waits"),
	CLAIM(works_do_not_wait, "N: nor does what else KVM_RUN does for a task wait"),
	CLAIM(guests_wait, "N: a guest on the mapping waits, whoever runs it"),
};

CLAIMS_MAIN(claims);
