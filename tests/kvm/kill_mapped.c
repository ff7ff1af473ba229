// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMMs that die by SIGKILL with memory that they have mapped, in the midst of anything.
 * Another VMM has a view of it, and goes on.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "claims.h"
#include "fdinfo.h"
#include "mapped.h"

#define PAGES	16
#define SIZE	(PAGES * PAGE_SIZE)
#define KILLS	60

static void *run_guest_over_it(void *arg)
{
	struct machine *m = arg;

	for (;;)
		for (uint64_t page = 0; page < PAGES; page++)
			guest_try_write(m, page, 1);
	return NULL;
}

/* With GUP's references, a mapping that moves, children, holes and conversions. */
static void *use_the_mapping(void *arg)
{
	struct machine *m = arg;
	uint64_t value = 0;
	int fds[2];

	if (pipe(fds))
		_exit(1);
	for (unsigned int i = 0; ; i++) {
		struct iovec local = { &value, sizeof(value) };
		struct iovec remote = { host_page(m, i % PAGES), sizeof(value) };
		uint64_t *p = map_view(m->view, PAGES);

		host_try_write(p + i % PAGES * (PAGE_SIZE / 8));
		process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
		if (i % 8 == 3)
			vmsplice(fds[1], &remote, 1, SPLICE_F_NONBLOCK);
		if (i % 16 == 5 && !fork()) {
			host_try_write(p);
			pause();
		}
		p = mremap(p, SIZE, SIZE / 2, 0);
		munmap(p, SIZE / 2);
	}
	return NULL;
}

static void convert_and_punch(struct machine *m)
{
	for (unsigned int i = 0; ; i++) {
		__convert(m->view, i % PAGES, 1 + i % 3, i & 1 ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE,
			  NULL);
		if (i % 8 == 7)
			fallocate(m->view, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
				  i % PAGES * PAGE_SIZE, PAGE_SIZE);
	}
}

/* A process group of its own, for its children to go along. */
static void vmm(int view)
{
	struct machine *m;
	pthread_t thread;

	setpgid(0, 0);
	m = mapped_link(KVM_X86_SW_PROTECTED_VM, view, PAGES);
	close(view);
	pthread_create(&thread, NULL, run_guest_over_it, m);
	pthread_create(&thread, NULL, use_the_mapping, m);
	convert_and_punch(m);
}

static void kill_vmm(pid_t pid)
{
	int status;

	/* It may not have got to its group yet. */
	if (kill(-pid, SIGKILL))
		TEST_ASSERT(!kill(pid, SIGKILL), "kill: errno %d", errno);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "status %#x", status);
	kill(-pid, SIGKILL);
}

/* What the dead held is let go before long: its children's mappings, its pipe's pages. */
static void expect_let_go(int view)
{
	double until = 0;

	while (fdinfo(view, "views") > 1 && claim_is_patient(&until))
		;
	TEST_ASSERT_EQ(fdinfo(view, "views"), 1UL);
}

/* How many microseconds a VMM takes to get to work here and now. */
static unsigned int time_to_work(struct machine *m)
{
	struct timespec begun, now;
	double until = 0;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	pid = fork();
	if (!pid)
		vmm(m->view);
	while (fdinfo(m->view, "views") < 2)
		TEST_ASSERT(claim_is_patient(&until), "it does not get to work");
	clock_gettime(CLOCK_MONOTONIC, &now);
	kill_vmm(pid);
	expect_let_go(m->view);
	return (now.tv_sec - begun.tv_sec) * 1000000 + (now.tv_nsec - begun.tv_nsec) / 1000;
}

static void killed_anywhere(void)
{
	unsigned int kills = claim_times(KILLS), at_work = 0, to_work;
	struct machine *m;

	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_CONVERT,
		       "these modules have no KVM_SET_MEMORY_ATTRIBUTES2");
	m = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED);
	to_work = time_to_work(m);
	pr_info("at work after %u us\n", to_work);
	for (unsigned int i = 0; i < kills; i++) {
		pid_t pid = fork();

		if (!pid)
			vmm(m->view);
		/* Before it has got to work and when it has: up to thrice that time. */
		usleep(i * 7919 % kills * (3.0 * to_work / kills));
		/* All the while this VM's guest goes on. */
		for (uint64_t page = 0; page < PAGES; page++)
			guest_try_write(m, page, 2);
		at_work += fdinfo(m->view, "views") == 2;
		kill_vmm(pid);
		expect_let_go(m->view);

		make_private(m->view, 0, PAGES);
		host_expect_sigbus(m, 0, 2);
		guest_write(m, 0, PAGES, 3);
		guest_expect(m, 0, PAGES, 3);
		make_shared(m->view, 0, PAGES);
		host_expect(m, 0, PAGES, 3);
	}
	TEST_ASSERT(at_work >= kills / 10, "%u of them had got to work", at_work);
	punch_pages(m->view, 0, PAGES);
	TEST_ASSERT_EQ(fdinfo(m->view, "resident"), 0UL);
	TEST_ASSERT_EQ(fdinfo(m->view, "allocated"), fdinfo(m->view, "freed"));
}

static const struct claim claims[] = {
	SLOW_CLAIM(killed_anywhere, 240,
		   "VMMs die by SIGKILL in the midst of it, the other has all of the memory"),
};

CLAIMS_MAIN(claims);
