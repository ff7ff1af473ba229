// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversions against everything that reaches a page: once a page is private,
 * nobody of the host writes to it, however they began.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "claims.h"
#include "stress.h"
#include "mapped.h"

#define PAGES	4
#define SIZE	(PAGES * PAGE_SIZE)

/**
 * struct attack - host writers against one machine's page 0
 * @m: the machine
 * @guest: whose guest looks at the pages while they are private
 * @stores: how often a writer got through, so that a test without any fails
 * @refused: conversions that were EAGAIN
 */
struct attack {
	struct machine *m;
	struct machine *guest;
	unsigned long stores, refused;
};

/* What the guest writes while the page is private, and nobody else may see. */
#define SECRET	0x7465726365732061

/* Returns what was there, and leaves @value. */
static void guest_code_exchange(uint64_t page, uint64_t value)
{
	volatile uint64_t *p = (volatile uint64_t *)(MACHINE_GVA + page * PAGE_SIZE);
	uint64_t old = *p;

	*p = value;
	GUEST_RETURN(old);
}

static uint64_t guest_exchanges(struct machine *m, uint64_t value)
{
	return machine_call(m, guest_code_exchange, 0, value, 0);
}

/* While the page is private the guest's secret is in it, and nothing else. */
static void keep_a_secret(void *arg)
{
	struct attack *a = arg;
	uint64_t was;

	if (__convert(a->m->view, 0, 1, KVM_MEMORY_ATTRIBUTE_PRIVATE, NULL)) {
		TEST_ASSERT(errno == EAGAIN, "to private: errno %d", errno);
		a->refused++;
		return;
	}
	guest_exchanges(a->guest, SECRET);
	sched_yield();
	was = guest_exchanges(a->guest, 0);
	TEST_ASSERT(was == SECRET, "a private page was overwritten with %lx", was);
	make_shared(a->m->view, 0, 1);
}

static void load(void *arg)
{
	struct attack *a = arg;
	uint64_t value = 0;

	if (!host_try_load(a->m->host, &value))
		a->stores++;
	TEST_ASSERT(value != SECRET, "a load has read a private page");
}

static void store(void *arg)
{
	struct attack *a = arg;

	a->stores += !host_try_write(a->m->host);
}

/* While the translation is in the TLB, without the kernel. */
static void store_often(void *arg)
{
	struct attack *a = arg;
	volatile uint64_t *word = a->m->host;

	a->stores += !host_try_write(word);
	for (int i = 0; i < 100 && !host_try_write(word); i++)
		;
}

static void store_by_process_vm(void *arg)
{
	static uint64_t value;
	struct attack *a = arg;
	struct iovec local = { &value, sizeof(value) };
	struct iovec remote = { a->m->host, sizeof(value) };

	value++;
	a->stores += process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == sizeof(value);
}

/* Holds the page from vmsplice to read, which is when its content is looked at. */
static void hold_in_a_pipe(void *arg)
{
	static int fds[2] = { -1, -1 };
	static char page[PAGE_SIZE] __aligned(8);
	struct attack *a = arg;
	struct iovec iov = { a->m->host, PAGE_SIZE };

	if (fds[0] < 0)
		TEST_ASSERT(!pipe(fds), "pipe");
	if (vmsplice(fds[1], &iov, 1, 0) == PAGE_SIZE) {
		/* Long enough for a guest to be run, every other time. */
		if (a->stores++ & 1)
			usleep(2000);
		TEST_ASSERT_EQ(read(fds[0], page, PAGE_SIZE), (ssize_t)PAGE_SIZE);
		TEST_ASSERT(*(uint64_t *)page != SECRET, "the pipe has a private page");
	}
}

static void attack_begin(struct attack *a)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_CONVERT,
		       "these modules have no KVM_SET_MEMORY_ATTRIBUTES2");
	a->m = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED);
	/* Another VM looks, so that every view's mapping is counted on. */
	a->guest = mapped_link(KVM_X86_SW_PROTECTED_VM, a->m->view, PAGES);
}

static void attack_end(struct attack *a, bool may_refuse)
{
	TEST_ASSERT(a->stores, "no writer ever got at the page");
	TEST_ASSERT(may_refuse || !a->refused, "%lu conversions were EAGAIN", a->refused);
}

static void against_loads_and_stores(void)
{
	struct attack a = { 0 };
	const struct stress_op ops[] = {
		{ "conversions", keep_a_secret, &a },
		{ "stores", store, &a },
		{ "loads", load, &a },
	};

	attack_begin(&a);
	STRESS(ops);
	attack_end(&a, false);
}

/* Takes dirty pages out of the page table, by turns from the mapping and with it. */
static void take_away(void *arg)
{
	static unsigned int n;
	struct attack *a = arg;

	if (n++ % 4) {
		TEST_ASSERT(!madvise(a->m->host, SIZE, MADV_DONTNEED), "madvise");
	} else {
		TEST_ASSERT(mmap(a->m->host, SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, a->m->view, 0) == a->m->host, "mmap");
	}
	cpu_relax();
}

/*
 * When the page table has lost the page, a CPU may have it in its TLB yet, and the
 * conversion finds nothing to unmap.
 */
static void against_unmapping(void)
{
	struct attack a = { 0 };
	const struct stress_op ops[] = {
		{ "conversions", keep_a_secret, &a },
		{ "unmapping", take_away, &a },
		{ "stores", store_often, &a },
		{ "more stores", store_often, &a },
	};

	attack_begin(&a);
	STRESS(ops);
	attack_end(&a, false);
}

static void against_gup(void)
{
	struct attack a = { 0 };
	const struct stress_op ops[] = {
		{ "conversions", keep_a_secret, &a },
		{ "process_vm_writev", store_by_process_vm, &a },
		{ "stores", store, &a },
	};

	attack_begin(&a);
	STRESS(ops);
	attack_end(&a, true);
}

static void against_held_pages(void)
{
	struct attack a = { 0 };
	const struct stress_op ops[] = {
		{ "conversions", keep_a_secret, &a },
		{ "pages in a pipe", hold_in_a_pipe, &a },
	};

	attack_begin(&a);
	STRESS(ops);
	attack_end(&a, true);
}

/* Whether the host's page table has the page. */
static bool is_mapped(void *p)
{
	static int fd = -1;
	uint64_t entry;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY);
	TEST_ASSERT(pread(fd, &entry, sizeof(entry), (uintptr_t)p / PAGE_SIZE * sizeof(entry)) ==
		    sizeof(entry), "read /proc/self/pagemap");
	return entry >> 63;
}

static void convert_and_look(void *arg)
{
	struct attack *a = arg;

	make_private(a->m->view, 0, 1);
	/* For touches that had begun before to come to their end. */
	usleep(200);
	TEST_ASSERT(!is_mapped(a->m->host), "a private page is mapped");
	make_shared(a->m->view, 0, 1);
	/* The next touch has to allocate it, which takes longer. */
	punch_pages(a->m->view, 0, 1);
}

static void against_first_touches(void)
{
	struct attack a = { 0 };
	const struct stress_op ops[] = {
		{ "conversions", convert_and_look, &a },
		{ "stores", store, &a },
		{ "more stores", store, &a },
		{ "loads", load, &a },
		{ "more loads", load, &a },
	};

	attack_begin(&a);
	STRESS(ops);
	attack_end(&a, false);
}

/*
 * A guest's faults against conversions: each access succeeds, or leaves with a
 * memory fault because the attribute changed under it; and the content is whole.
 */
static void guest_writes_or_faults(void *arg)
{
	struct machine *m = arg;

	for (uint64_t page = 0; page < PAGES; page++) {
		int err = guest_try_write(m, page, 1);

		TEST_ASSERT(!err || (err == EFAULT && m->vcpu->run->exit_reason ==
				     KVM_EXIT_MEMORY_FAULT), "KVM_RUN: errno %d", err);
	}
}

static void convert_there_and_back(void *arg)
{
	struct machine *m = arg;

	make_private(m->view, 0, PAGES);
	make_shared(m->view, 1, 2);
	make_shared(m->view, 0, PAGES);
}

static void punch_all(void *arg)
{
	struct machine *m = arg;

	punch_pages(m->view, 0, PAGES);
	usleep(500);
}

static void touch_all(void *arg)
{
	struct machine *m = arg;

	for (uint64_t page = 0; page < PAGES; page++)
		host_try_read(host_page(m, page));
}

static void against_guests(void)
{
	struct machine *a, *b;

	a = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED);
	b = mapped_link(KVM_X86_SW_PROTECTED_VM, a->view, PAGES);

	const struct stress_op ops[] = {
		{ "guest A", guest_writes_or_faults, a },
		{ "guest B", guest_writes_or_faults, b },
		{ "conversions", convert_there_and_back, a },
	};

	STRESS(ops);
	for (uint64_t page = 0; page < PAGES; page++)
		guest_try_write(a, page, 1);
	host_expect(a, 0, PAGES, 1);
}

/* Just-faulted pages of every kind, holes between: no EAGAIN, no stale page. */
static void against_holes_and_touches(void)
{
	struct machine *a, *b;

	a = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED);
	b = mapped_link(KVM_X86_DEFAULT_VM, a->view, PAGES);

	const struct stress_op ops[] = {
		{ "guest A", guest_writes_or_faults, a },
		{ "guest B", guest_writes_or_faults, b },
		{ "the host", touch_all, b },
		{ "holes", punch_all, b },
		{ "conversions", convert_there_and_back, a },
	};

	STRESS(ops);
}

/* Mappings come, go, move and fork while their pages are converted. */
static void remap(void *arg)
{
	struct machine *m = arg;
	uint64_t *p = map_view(m->view, PAGES);
	void *q;

	host_try_write(p);
	q = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(mremap(p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q, "mremap");
	host_try_write(q);
	munmap(q, SIZE);
}

static void fork_and_touch(void *arg)
{
	struct machine *m = arg;
	pid_t pid = fork();
	int status;

	if (!pid) {
		host_try_write(m->host);
		_exit(0);
	}
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid && !status, "fork");
}

static void against_mappings(void)
{
	struct machine *m = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED);
	const struct stress_op ops[] = {
		{ "mappings", remap, m },
		{ "forks", fork_and_touch, m },
		{ "conversions", convert_there_and_back, m },
	};

	STRESS(ops);
}

/* Does all of it by turns until it is killed. */
static void convert_until_killed(int view)
{
	uint64_t *p = map_view(view, PAGES);
	int fds[2];

	if (pipe(fds))
		_exit(1);
	for (int i = 0; ; i++) {
		struct iovec iov = { p, PAGE_SIZE };

		host_try_write(p + i % PAGES * (PAGE_SIZE / 8));
		__convert(view, i % PAGES, 1, i & 1 ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE, NULL);
		if (i % 16 == 7 && vmsplice(fds[1], &iov, 1, SPLICE_F_NONBLOCK) > 0)
			__convert(view, 0, PAGES, KVM_MEMORY_ATTRIBUTE_PRIVATE, NULL);
		if (i % 32 == 31)
			fallocate(view, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PAGE_SIZE);
	}
}

static void killed_anywhere(void)
{
	struct machine *m = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED);
	int status;

	for (unsigned int i = 0; i < claim_times(100); i++) {
		pid_t pid = fork();

		if (!pid)
			convert_until_killed(m->view);
		usleep(i * 137 % 10000);
		kill(pid, SIGKILL);
		TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");

		/* What it held is let go: its pipe's pages too. */
		make_private(m->view, 0, PAGES);
		guest_exchanges(m, i);
		make_shared(m->view, 0, PAGES);
		TEST_ASSERT_EQ(*m->host, (uint64_t)i);
	}
}

static const struct claim claims[] = {
	CLAIM(against_loads_and_stores,
	      "no load or store of the host reaches a private page, none is EAGAIN"),
	CLAIM(against_first_touches, "a page that is private is in no page table of the host"),
	CLAIM(against_unmapping, "nor is one that is being taken out of the host's page table"),
	CLAIM(against_gup, "nor does process_vm_writev"),
	CLAIM(against_held_pages, "nor is a page private while a pipe has it"),
	CLAIM(against_guests, "guests of two VMs write, or leave with a memory fault"),
	CLAIM(against_holes_and_touches,
	      "guests, host touches and holes at once make no conversion fail"),
	CLAIM(killed_anywhere, "SIGKILL in the midst of it leaves an inode that works"),
	CLAIM(against_mappings, "mappings that come, move, fork and go lose the page all the same"),
};

CLAIMS_MAIN(claims);
