// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory failure in a page that the host has mapped, or might.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "claims.h"
#include "mapped.h"
#include "poison.h"

#define PAGES	8
#define BAD	3		/* the page that goes bad */

static struct machine *machine_mapped(uint32_t type)
{
	struct machine *m;

	close(poison_open());		/* skips where there is none */
	m = mapped_create(type, PAGES, MMAP_SHARED);
	host_write(m, 0, PAGES, 5);
	guest_expect(m, 0, PAGES, 5);
	return m;
}

static uint64_t pfn_at(void *p)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	TEST_ASSERT(pread(fd, &entry, 8, (uintptr_t)p / PAGE_SIZE * 8) == 8 && entry >> 63,
		    "pagemap entry of %p: %lx", p, entry);
	close(fd);
	return entry & ((1ULL << 55) - 1);
}

static uint64_t poison_one(struct machine *m)
{
	uint64_t pfn = pfn_at(host_page(m, BAD));

	TEST_ASSERT(poison_pfn(poison_open(), pfn), "hard_offline_page of frame %#lx", pfn);
	TEST_ASSERT(is_poisoned(pfn), "page frame %#lx is not marked", pfn);
	return pfn;
}

static void expect_bad(struct machine *m, uint64_t flags)
{
	TEST_ASSERT_EQ(guest_try_touch(m, BAD), EHWPOISON);
	TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_MEMORY_FAULT);
	TEST_ASSERT_EQ(m->vcpu->run->memory_fault.gpa, MACHINE_GPA + BAD * PAGE_SIZE);
	TEST_ASSERT_EQ(m->vcpu->run->memory_fault.flags, flags);
}

static void touch_is_sigbus(void)
{
	struct machine *m = machine_mapped(KVM_X86_DEFAULT_VM);
	uint64_t *untouched = map_view(m->view, PAGES);

	poison_one(m);
	for (int i = 0; i < 2; i++) {
		TEST_ASSERT_EQ(host_try_read(host_page(m, BAD)), BUS_MCEERR_AR);
		TEST_ASSERT_EQ(host_try_write(host_page(m, BAD)), BUS_MCEERR_AR);
	}
	TEST_ASSERT_EQ(host_try_read(untouched + BAD * PAGE_SIZE / 8), BUS_MCEERR_AR);
	TEST_ASSERT_EQ(host_try_read(untouched + (BAD + 1) * PAGE_SIZE / 8), 0);
}

static void guest_faults_too(void)
{
	struct machine *m = machine_mapped(KVM_X86_DEFAULT_VM);

	poison_one(m);
	expect_bad(m, 0);
	guest_expect(m, 0, BAD, 5);
	guest_expect(m, BAD + 1, PAGES - BAD - 1, 5);
	host_expect(m, 0, BAD, 5);
	host_expect(m, BAD + 1, PAGES - BAD - 1, 5);
}

/* What kind of page it was is told as the inode knows it, not the VM. */
static void kind_is_told(void)
{
	struct machine *m = machine_mapped(KVM_X86_SW_PROTECTED_VM);
	uint64_t pfn = pfn_at(host_page(m, BAD));

	machine_unbind(m);
	vm_mem_set_private(m->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	machine_bind(m, 0);
	poison_one(m);
	expect_bad(m, 0);

	m = machine_mapped(KVM_X86_SW_PROTECTED_VM);
	pfn = pfn_at(host_page(m, BAD));
	make_private(m->view, 0, PAGES);
	TEST_ASSERT(poison_pfn(poison_open(), pfn), "hard_offline_page of frame %#lx", pfn);
	expect_bad(m, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	host_expect_sigbus(m, 0, PAGES);
}

static void converts_all_the_same(void)
{
	struct machine *m = machine_mapped(KVM_X86_SW_PROTECTED_VM);

	poison_one(m);
	make_private(m->view, 0, PAGES);
	host_expect_sigbus(m, 0, PAGES);
	expect_bad(m, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	make_shared(m->view, 0, PAGES);
	TEST_ASSERT_EQ(host_try_read(host_page(m, BAD)), BUS_MCEERR_AR);
	host_expect(m, 0, BAD, 5);
}

static void hole_heals_mappings(void)
{
	struct machine *m = machine_mapped(KVM_X86_DEFAULT_VM);

	poison_one(m);
	TEST_ASSERT_EQ(host_try_read(host_page(m, BAD)), BUS_MCEERR_AR);
	punch_pages(m->view, BAD, 1);
	host_expect(m, BAD, 1, 0);
	guest_write(m, BAD, 1, 6);
	host_expect(m, BAD, 1, 6);
}

/* A child that asks for early notice: its exit status says what it was told. */
static volatile sig_atomic_t told;
static void *volatile told_address;

static void note(int sig __maybe_unused, siginfo_t *info, void *context __maybe_unused)
{
	told = info->si_code;
	told_address = info->si_addr;
}

static pid_t bystander(void *expected, int *ready, int *go)
{
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
	pid_t pid = fork();
	char byte;

	if (pid)
		return pid;
	sigaction(SIGBUS, &action, NULL);
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
	if (write(ready[1], "", 1) != 1)
		_exit(3);
	close(go[1]);
	while (read(go[0], &byte, 1) < 0)
		;
	if (!expected)
		_exit(told ? 1 : 0);
	_exit(told == BUS_MCEERR_AO && told_address == expected ? 0 : 2);
}

static void only_those_who_have_it_are_told(void)
{
	struct machine *m = machine_mapped(KVM_X86_DEFAULT_VM);
	int ready[2], go[2], status;
	char bytes[2];

	TEST_ASSERT(!pipe(ready) && !pipe(go), "pipe");
	bystander(host_page(m, BAD), ready, go);
	/* This one has only what stands before the page. */
	munmap(host_page(m, BAD), (PAGES - BAD) * PAGE_SIZE);
	bystander(NULL, ready, go);
	TEST_ASSERT(read(ready[0], bytes, 1) == 1 && read(ready[0], bytes, 1) == 1, "read");
	m->host = map_view(m->view, PAGES);
	host_expect(m, 0, PAGES, 5);
	poison_one(m);
	usleep(100000);
	close(go[1]);
	for (int i = 0; i < 2; i++)
		TEST_ASSERT(wait(&status) > 0 && !status, "a bystander's status is %#x", status);
}

/*
 * To memory_failure() a reference is one, whoever has it: here a pipe has the page, and not a
 * fault that is about to map it.
 */
static void referenced(void)
{
	struct machine *m = machine_mapped(KVM_X86_DEFAULT_VM);
	uint64_t pfn = pfn_at(host_page(m, BAD));
	struct iovec iov = { host_page(m, BAD), PAGE_SIZE };
	int fds[2];

	TEST_ASSERT(!pipe(fds), "pipe");
	TEST_ASSERT_EQ(vmsplice(fds[1], &iov, 1, 0), (ssize_t)PAGE_SIZE);
	TEST_ASSERT_EQ(poison_report(poison_open(), pfn), EBUSY);
	TEST_ASSERT(is_poisoned(pfn), "page frame %#lx is not marked", pfn);

	/* Out of reach nevertheless. */
	expect_bad(m, 0);
	TEST_ASSERT_EQ(host_try_read(host_page(m, BAD)), BUS_MCEERR_AR);
	host_expect(m, 0, BAD, 5);
	guest_expect(m, BAD + 1, PAGES - BAD - 1, 5);

	/* Nor does the frame come back with the last reference. */
	punch_pages(m->view, BAD, 1);
	close(fds[0]);
	close(fds[1]);
	host_expect(m, BAD, 1, 0);
	TEST_ASSERT(is_poisoned(pfn) && !(frame_flags(pfn) & KPF_BUDDY),
		    "page frame %#lx was given back", pfn);
}

static const struct claim claims[] = {
	CLAIM(touch_is_sigbus, "a touch through any mapping is SIGBUS with the page's address"),
	CLAIM(guest_faults_too,
	      "the guest gets KVM_EXIT_MEMORY_FAULT with EHWPOISON; other pages are unharmed"),
	CLAIM(kind_is_told, "the exit tells whether the inode has the page private"),
	CLAIM(converts_all_the_same, "a range with a bad page converts, the page stays bad"),
	CLAIM(hole_heals_mappings, "a hole gives a fresh page to mappings that had it too"),
	CLAIM(referenced, "one that somebody else has a reference to is EBUSY, and out of reach"),
	CLAIM(only_those_who_have_it_are_told, "early notice goes to who has the page mapped"),
};

CLAIMS_MAIN(claims);
