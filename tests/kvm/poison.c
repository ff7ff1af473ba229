// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory failure: an uncorrected error in one page of guest memory.
 */
#include <sched.h>
#include <sys/stat.h>

#include "claims.h"
#include "machine.h"
#include "poison.h"
#include "tracing.h"

#define PAGES	8
#define BAD	3		/* the page that goes bad */

static uint64_t pfn_of(struct machine *m, uint64_t page)
{
	struct stat st;

	TEST_ASSERT(!fstat(m->view, &st), "fstat");
	return trace_fault_pfn(st.st_ino, page);
}

/* A machine with a pattern in all its pages, one of which goes bad. */
static uint64_t poison_one(struct machine *m)
{
	uint64_t pfn = pfn_of(m, BAD);

	TEST_ASSERT(poison_pfn(poison_open(), pfn), "hard_offline_page of frame %#lx", pfn);
	TEST_ASSERT(is_poisoned(pfn), "page frame %#lx is not marked", pfn);
	return pfn;
}

static struct machine *machine_traced(void)
{
	struct machine *m;

	trace_start("gmem_fault");
	m = machine_create(PAGES);
	guest_write(m, 0, PAGES, 5);
	return m;
}

static void touch_faults(void)
{
	struct machine *m = machine_traced();

	poison_one(m);
	expect_memory_fault(m, BAD, EHWPOISON);
	expect_memory_fault(m, BAD, EHWPOISON);
	machine_free(m);
}

/* So that a vCPU which has consumed the error goes on, to that memory fault. */
static void recovered(void)
{
	struct machine *m = machine_traced();
	uint64_t pfn = pfn_of(m, BAD);

	TEST_ASSERT_EQ(poison_report(poison_open(), pfn), 0);
	TEST_ASSERT(is_poisoned(pfn), "page frame %#lx is not marked", pfn);
	expect_memory_fault(m, BAD, EHWPOISON);
	/* Once more: it is known by now. */
	poison_report(poison_open(), pfn);
	expect_memory_fault(m, BAD, EHWPOISON);
	guest_expect(m, BAD + 1, PAGES - BAD - 1, 5);
	punch_pages(m->view, 0, PAGES);
	guest_expect(m, 0, PAGES, 0);
	TEST_ASSERT(is_poisoned(pfn) && !(frame_flags(pfn) & KPF_BUDDY),
		    "page frame %#lx was given back", pfn);
	machine_free(m);
}

/* Nobody takes the bad page for a clean one, which would leave zeroes. */
static void stays_bad(void)
{
	struct machine *m = machine_traced();
	int fd;

	poison_one(m);
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	TEST_ASSERT(fd >= 0 && write(fd, "3", 1) == 1, "drop_caches");
	close(fd);
	fd = open("/sys/devices/system/memory/soft_offline_page", O_WRONLY);
	if (fd >= 0)
		poison_report(fd, pfn_of(m, BAD));
	expect_memory_fault(m, BAD, EHWPOISON);
	machine_free(m);
}

static void others_are_unharmed(void)
{
	struct machine *m = machine_traced();

	poison_one(m);
	guest_expect(m, 0, BAD, 5);
	guest_expect(m, BAD + 1, PAGES - BAD - 1, 5);
	machine_free(m);
}

static void every_view_faults(void)
{
	struct machine *a, *b, *c;

	require_link();
	a = machine_traced();
	b = machine_link(a->view, PAGES);
	guest_expect(b, 0, PAGES, 5);	/* mapped in both when it happens */
	poison_one(a);
	expect_memory_fault(b, BAD, EHWPOISON);
	expect_memory_fault(a, BAD, EHWPOISON);
	c = machine_link(b->view, PAGES);
	expect_memory_fault(c, BAD, EHWPOISON);
	guest_expect(c, 0, BAD, 5);
	guest_expect(b, BAD + 1, PAGES - BAD - 1, 5);
}

static void outlives_its_vm(void)
{
	struct machine *a, *b;

	require_link();
	a = machine_traced();
	b = machine_link(a->view, PAGES);
	poison_one(a);
	machine_free(a);
	expect_memory_fault(b, BAD, EHWPOISON);
	guest_expect(b, 0, BAD, 5);
	machine_free(b);
}

static void hole_gives_fresh_page(void)
{
	struct machine *m = machine_traced();
	uint64_t bad = poison_one(m);

	punch_pages(m->view, BAD, 1);
	trace_clear();
	guest_expect(m, BAD, 1, 0);
	TEST_ASSERT(pfn_of(m, BAD) != bad, "page frame %#lx came back", bad);
	guest_write(m, BAD, 1, 6);
	guest_expect(m, BAD, 1, 6);
	machine_free(m);
}

static void counts_as_allocated(void)
{
	struct machine *m = machine_traced();

	poison_one(m);
	allocate_pages(m->view, 0, PAGES);
	expect_memory_fault(m, BAD, EHWPOISON);
	machine_free(m);
}

static void never_given_back(void)
{
	struct machine *m = machine_traced();
	uint64_t bad = poison_one(m);

	machine_free(m);
	/* A page that went through the allocator would have lost the mark. */
	TEST_ASSERT(is_poisoned(bad), "page frame %#lx is not marked any more", bad);
}

/* More than the modules remember until a kworker has had its turn. */
#define MANY	300

static uint64_t ino_of(struct machine *m)
{
	struct stat st;

	TEST_ASSERT(!fstat(m->view, &st), "fstat");
	return st.st_ino;
}

static void write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, value, strlen(value)) > 0, "%s: errno %d", path, errno);
	close(fd);
}

/* Has this CPU for itself: kworkers wait that are queued here. */
static void keep_cpu(int policy, int priority)
{
	struct sched_param param = { .sched_priority = priority };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "affinity: errno %d", errno);
	TEST_ASSERT(!sched_setscheduler(0, policy, &param), "scheduler: errno %d", errno);
}

/* A page is known to be bad, and reported again and again: to the modules, each is another. */
static void failures_are_not_forgotten(void)
{
	struct machine *m = machine_traced(), *other = machine_create(PAGES);
	char match[32];
	double until = 0;
	uint64_t pfn;
	int report;

	guest_write(other, 0, PAGES, 5);
	TEST_ASSERT_EQ(poison_report(poison_open(), pfn_of(other, BAD)), 0);
	pfn = poison_one(m);
	snprintf(match, sizeof(match), "ino %lu", ino_of(other));
	trace_start("gmem_poison");
	trace_clear();
	write_file("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	write_file("/proc/sys/kernel/printk", "1");
	report = poison_open();
	keep_cpu(SCHED_FIFO, 10);
	for (int i = 0; i < MANY; i++)
		poison_report(report, pfn);
	keep_cpu(SCHED_OTHER, 0);
	/* All bad pages are looked for then, also the other machine's: there was no word of it. */
	while (!trace_count("gmem_poison", match))
		TEST_ASSERT(claim_is_patient(&until), "some were forgotten");
	machine_free(other);
	machine_free(m);
}

static const struct claim claims[] = {
	CLAIM(touch_faults, "the guest that touches it leaves with a memory fault, EHWPOISON"),
	CLAIM(recovered, "the kernel counts it as recovered: who consumed the error goes on"),
	CLAIM(stays_bad, "what takes clean page cache does not take it"),
	CLAIM(others_are_unharmed, "the other pages stay as they are"),
	CLAIM(every_view_faults, "it is so in every VM with a view, mapped before or linked after"),
	CLAIM(outlives_its_vm, "the mark stays when the VM that met it is gone"),
	CLAIM(hole_gives_fresh_page, "a hole punched there gives a fresh page"),
	CLAIM(counts_as_allocated,
	      "allocating over it succeeds and leaves it bad, as in Linux 6.12"),
	CLAIM(never_given_back, "the page frame is not given back to the allocator"),
	CLAIM(failures_are_not_forgotten,
	      "of more failures than are remembered each bad page is found all the same"),
};

CLAIMS_MAIN(claims);
