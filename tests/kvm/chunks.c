// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chunks: 2 MiB in one piece, of single pages, in inodes that the host may map. A touch brings
 * all of one, KVM maps it as a whole, and what happens to one of its pages happens to that one.
 */
#include <sys/mman.h>
#include <sys/resource.h>

#include "cgroup.h"
#include "chunks.h"
#include "huge.h"
#include "mapped.h"
#include "paging.h"
#include "poison.h"
#include "populate.h"
#include "sealing.h"
#include "tracing.h"

#define CHUNKS	3
#define PAGES	(CHUNKS * CHUNK_PAGES)
#define PAGE	(CHUNK_PAGES + 77)	/* one in the middle */

static struct machine *m;

static void begin_of(uint32_t type, uint64_t flags)
{
	chunks_when("fits");
	m = mapped_create(type, PAGES, flags);
}

static void begin(void)
{
	begin_of(KVM_X86_DEFAULT_VM, MMAP_SHARED);
}

static void begin_protected(void)
{
	require_convert();
	begin_of(KVM_X86_SW_PROTECTED_VM, MMAP_SHARED);
}

/* All there, mapped by the guest as a whole. */
static void fill(uint64_t pattern)
{
	guest_write(m, 0, PAGES, pattern);
	TEST_ASSERT_EQ(resident(m->view), PAGES);
	TEST_ASSERT_EQ(chunks_of(m->view), CHUNKS);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), CHUNKS);
}

static void end(void)
{
	munmap(m->host, PAGES * PAGE_SIZE);
	machine_free(m);
}

/* What a touch of @PAGE has brought, by guest or host. */
static void expect_one(void)
{
	TEST_ASSERT_EQ(resident(m->view), CHUNK_PAGES);
	TEST_ASSERT_EQ(chunks_of(m->view), 1);
	guest_expect(m, CHUNK_PAGES, CHUNK_PAGES, 0);
	host_expect(m, CHUNK_PAGES, CHUNK_PAGES, 0);
	TEST_ASSERT_EQ(resident(m->view), CHUNK_PAGES);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), 1);
}

static void by_a_guest(void)
{
	begin();
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 1);
	expect_one();
	fill(3);
	host_expect(m, 0, PAGES, 3);
	host_write(m, 0, PAGES, 4);
	guest_expect(m, 0, PAGES, 4);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), CHUNKS);
	/* Of single pages: nothing else could be poisoned, converted and pinned as such. */
	TEST_ASSERT_EQ(huge_folios(), 0UL);
	end();
}

static void by_the_host(void)
{
	begin();
	TEST_ASSERT_EQ(host_try_write(host_page(m, PAGE)), 0);
	punch_pages(m->view, CHUNK_PAGES, CHUNK_PAGES);
	TEST_ASSERT_EQ(resident(m->view), 0);
	TEST_ASSERT_EQ(host_try_read(host_page(m, PAGE)), 0);
	expect_one();
	end();
}

/* Two page tables may have a part of each. */
static void mapped_around(void)
{
	struct rusage before, after;

	begin();
	guest_touch(m, 0, PAGES);
	for (int write = 0; write < 2; write++) {
		getrusage(RUSAGE_SELF, &before);
		for (uint64_t page = 0; page < PAGES; page++) {
			if (write)
				*(volatile uint64_t *)host_page(m, page) = 1;
			else
				(void)*(volatile uint64_t *)host_page(m, page);
		}
		getrusage(RUSAGE_SELF, &after);
		TEST_ASSERT(after.ru_minflt - before.ru_minflt <= 2 * CHUNKS + 2,
			    "%ld faults for %u chunks", after.ru_minflt - before.ru_minflt,
			    CHUNKS);
		madvise(m->host, PAGES * PAGE_SIZE, MADV_DONTNEED);
	}
	/* Private ones are not mapped along. */
	end();
	begin_protected();
	fill(3);
	make_private(m->view, PAGE, 1);
	host_expect_sigbus(m, PAGE, 1);
	TEST_ASSERT_EQ(host_try_write(host_page(m, PAGE + 1)), 0);
	host_expect_sigbus(m, PAGE, 1);
	end();
}

/* A page of one that is allocated is missing until it is touched, and so are the others. */
static void by_allocating(void)
{
	uint64_t *content = pattern_pages(0, PAGES, 3);

	begin();
	allocate_pages(m->view, 0, PAGES);
	TEST_ASSERT_EQ(resident(m->view), PAGES);
	TEST_ASSERT_EQ(chunks_of(m->view), 0);
	TEST_ASSERT_EQ(populate(m, PAGE, 1, content + PAGE * 512), 1L);
	/* Populated to the end, it needs no touch of what is missing. */
	TEST_ASSERT_EQ(populate(m, 0, CHUNK_PAGES, content), (long)CHUNK_PAGES);

	TEST_ASSERT_EQ(huge_by_touch(m, PAGE + 1), 1);
	TEST_ASSERT_EQ(huge_by_touch(m, 0), 1);
	TEST_ASSERT_EQ(chunks_of(m->view), 2);
	guest_expect(m, 0, CHUNK_PAGES, 3);
	guest_expect(m, CHUNK_PAGES, PAGE - CHUNK_PAGES, 0);
	guest_expect(m, PAGE, 1, 3);
	guest_expect(m, PAGE + 1, 2 * CHUNK_PAGES - PAGE - 1, 0);
	TEST_ASSERT_EQ(populate(m, PAGE + 1, 1, content), -1L);
	TEST_ASSERT_EQ(errno, EEXIST);
	TEST_ASSERT_EQ(populate(m, 2 * CHUNK_PAGES, 1, content + 2 * CHUNK_PAGES * 512), 1L);
	end();
}

/* A part of a chunk that is asked for is all that is allocated. */
static void allocating_a_part(void)
{
	begin();
	allocate_pages(m->view, 1, CHUNK_PAGES);
	TEST_ASSERT_EQ(resident(m->view), CHUNK_PAGES);
	TEST_ASSERT_EQ(huge_by_touch(m, 5), 0);
	TEST_ASSERT_EQ(chunks_of(m->view), 0);
	end();
}

static void by_populating(void)
{
	uint64_t *content = pattern_pages(0, PAGES, 3);
	int handle;

	begin();
	handle = filler_of(m->view);
	TEST_ASSERT_EQ(populate_offset(m->view, 7, PAGES - 7, content + 7 * 512), (long)PAGES - 7);
	TEST_ASSERT_EQ(chunks_of(m->view), CHUNKS - 1);
	guest_expect(m, 7, PAGES - 7, 3);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), CHUNKS - 1);
	punch_pages(m->view, 0, PAGES);
	TEST_ASSERT_EQ(chunks_of(m->view), 0);

	TEST_ASSERT_EQ(populate_offset(handle, 0, PAGES, NULL), (long)PAGES);
	TEST_ASSERT_EQ(chunks_of(m->view), CHUNKS);
	guest_expect(m, 0, PAGES, 0);
	punch_pages(m->view, 0, PAGES);

	/* One page is there: EEXIST at that one, by single pages up to it. */
	TEST_ASSERT_EQ(populate_offset(handle, PAGE, 1, content + PAGE * 512), 1L);
	TEST_ASSERT_EQ(populate_offset(handle, 0, PAGES, content), (long)PAGE);
	TEST_ASSERT_EQ(chunks_of(m->view), 1);
	guest_expect(m, 0, PAGE + 1, 3);
	close(handle);
	end();
}

static void by_writing(void)
{
	uint64_t *content = pattern_pages(0, PAGES, 3);

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_WRITE);
	begin_of(KVM_X86_DEFAULT_VM, MMAP_SHARED | GUEST_MEMFD_FLAG_WRITE);
	TEST_ASSERT_EQ(pwrite(m->view, content, PAGES * PAGE_SIZE, 0), PAGES * PAGE_SIZE);
	TEST_ASSERT_EQ(chunks_of(m->view), CHUNKS);
	guest_expect(m, 0, PAGES, 3);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), CHUNKS);
	end();
}

/* What the pager owes is not there by a touch of what it does not. */
static void by_a_pagers_answer(void)
{
	int pager;

	require_pager();
	begin();
	pager = __pager(m->view, PAGE, 1, 0);
	TEST_ASSERT(pager >= 0, "KVM_GMEM_CREATE_PAGER: errno %d", errno);
	TEST_ASSERT_EQ(huge_by_touch(m, 0), 1);
	TEST_ASSERT_EQ(huge_by_touch(m, CHUNK_PAGES), 0);
	TEST_ASSERT_EQ(resident(m->view), CHUNK_PAGES + 1);
	TEST_ASSERT_EQ(host_try_read(host_page(m, CHUNK_PAGES + 1)), 0);
	allocate_pages(m->view, CHUNK_PAGES, CHUNK_PAGES);
	TEST_ASSERT_EQ(resident(m->view), 2 * CHUNK_PAGES - 1);
	copy(pager, 5, PAGE, 1);
	guest_expect(m, PAGE, 1, 5);
	close(pager);
	end();

	begin();
	pager = __pager(m->view, 0, PAGES, 0);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, 0, CHUNK_PAGES,
			      pattern_pages(0, CHUNK_PAGES, 6)), 0);
	TEST_ASSERT_EQ(chunks_of(m->view), 1);
	TEST_ASSERT_EQ(huge_by_touch(m, 0), 1);
	guest_expect(m, 0, CHUNK_PAGES, 6);
	close(pager);
	end();
}

/* One of a chunk's pages is there, alone. */
static void not_where_a_page_is(void)
{
	begin();
	allocate_pages(m->view, PAGE, 1);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE + 1), 0);
	TEST_ASSERT_EQ(host_try_read(host_page(m, PAGE + 2)), 0);
	TEST_ASSERT_EQ(resident(m->view), 3);
	TEST_ASSERT_EQ(chunks_of(m->view), 0);
	end();
}

static void not_where_a_part_is_private(void)
{
	begin_protected();
	make_private(m->view, PAGE, 1);
	TEST_ASSERT_EQ(host_try_read(host_page(m, PAGE + 1)), 0);
	TEST_ASSERT_EQ(resident(m->view), 1);
	end();
}

static void not_when_never(void)
{
	chunks_when("never");
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);
	TEST_ASSERT_EQ(huge_by_touch(m, 0), 0);
	allocate_pages(m->view, CHUNK_PAGES, CHUNK_PAGES);
	TEST_ASSERT_EQ(populate_offset(m->view, 2 * CHUNK_PAGES, CHUNK_PAGES, NULL),
		       (long)CHUNK_PAGES);
	guest_touch(m, 0, PAGES);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), 0);
	end();
	TEST_ASSERT(!__chunks_when("sometimes"), "an unknown word is taken");
	TEST_ASSERT(!__chunks_when("fit"), "a part of a word is taken");
}

/* At the end of an inode there is no room for one. */
static void not_past_the_end(void)
{
	chunks_when("fits");
	m = mapped_create(KVM_X86_DEFAULT_VM, CHUNK_PAGES + 78, MMAP_SHARED);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 0);
	TEST_ASSERT_EQ(resident(m->view), 1);
	TEST_ASSERT_EQ(huge_by_touch(m, 0), 1);
	TEST_ASSERT_EQ(resident(m->view), CHUNK_PAGES + 1);
	machine_free(m);
}

/* The guest has it elsewhere than it begins: mapped by pages; and as a whole where it does. */
static void mapped_by_pages_where_none_fits(void)
{
	static const uint64_t offsets[] = { 1, CHUNK_PAGES / 2, CHUNK_PAGES };

	begin();
	fill(3);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		machine_unbind(m);
		m->npages = PAGES - offsets[i];
		machine_bind(m, offsets[i]);
		TEST_ASSERT_EQ(huge_by_touch(m, 5), offsets[i] % CHUNK_PAGES ? 0 : 1);
		TEST_ASSERT_EQ(guest_try_write(m, 5, 6 + i), 0);
		TEST_ASSERT_EQ(guest_try_expect(m, 5, 6 + i), 0);
	}
	TEST_ASSERT_EQ(chunks_of(m->view), CHUNKS);
	end();
}

/* The memslot has another address than 2 MiB, of a mapping or of none. */
static void any_userspace_addr(void)
{
	uint64_t *host;

	begin();
	host = m->host;
	for (uint64_t addr = 0; addr < 3; addr++) {
		machine_unbind(m);
		m->host = (void *)(addr * PAGE_SIZE);
		machine_bind(m, 0);
		TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 1);
	}
	m->host = host;
	end();
}

/* One page has left. */
static void expect_all_but_one(void)
{
	guest_expect(m, 0, PAGE, 3);
	guest_expect(m, PAGE + 1, PAGES - PAGE - 1, 3);
	TEST_ASSERT_EQ(chunks_of(m->view), CHUNKS - 1);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), CHUNKS - 1);
}

static void a_hole_of_a_page(void)
{
	begin();
	fill(3);
	punch_pages(m->view, PAGE, 1);
	TEST_ASSERT_EQ(resident(m->view), PAGES - 1);
	expect_all_but_one();
	guest_expect(m, PAGE, 1, 0);
	TEST_ASSERT_EQ(resident(m->view), PAGES);
	expect_all_but_one();

	/* All of it gone, it comes as a whole again. */
	punch_pages(m->view, CHUNK_PAGES, CHUNK_PAGES);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 1);
	TEST_ASSERT_EQ(chunks_of(m->view), CHUNKS);
	end();
}

/* By where the hole begins and ends, in pages; and how many chunks are whole then. */
static void holes_of_all_kinds(void)
{
	static const struct {
		uint64_t first, n, whole;
	} holes[] = {
		{ 0, 1, 2 }, { CHUNK_PAGES - 1, 1, 2 }, { CHUNK_PAGES - 1, 2, 1 },
		{ 0, CHUNK_PAGES, 2 }, { 1, CHUNK_PAGES, 1 }, { 1, PAGES - 2, 0 },
		{ CHUNK_PAGES, 2 * CHUNK_PAGES, 1 }, { 0, PAGES, 0 }, { PAGES - 1, 1, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
		uint64_t first = holes[i].first, n = holes[i].n;

		begin();
		fill(3);
		punch_pages(m->view, first, n);
		TEST_ASSERT_EQ(chunks_of(m->view), holes[i].whole);
		TEST_ASSERT_EQ(resident(m->view), PAGES - n);
		guest_expect(m, 0, first, 3);
		guest_expect(m, first + n, PAGES - first - n, 3);
		guest_expect(m, first, n, 0);
		end();
	}
}

static void linked_guests(void)
{
	struct machine *other;

	begin();
	require_link();
	fill(3);
	other = mapped_link(KVM_X86_DEFAULT_VM, m->view, PAGES);
	guest_expect(other, 0, PAGES, 3);
	TEST_ASSERT_EQ(vm_get_stat(other->vm, "pages_2m"), CHUNKS);
	punch_pages(other->view, PAGE, 1);
	expect_all_but_one();
	guest_expect(other, 0, PAGE, 3);
	guest_expect(other, PAGE, 1, 0);
	guest_expect(other, PAGE + 1, PAGES - PAGE - 1, 3);
	TEST_ASSERT_EQ(vm_get_stat(other->vm, "pages_2m"), CHUNKS - 1);
	machine_free(other);
	end();
}

static uint64_t frame_of(uint64_t page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	TEST_ASSERT_EQ(host_try_read(host_page(m, page)), 0);
	TEST_ASSERT(pread(fd, &entry, 8, (uintptr_t)host_page(m, page) / PAGE_SIZE * 8) == 8 &&
		    entry >> 63, "no pagemap entry of page %lu", page);
	close(fd);
	return entry & ((1ULL << 55) - 1);
}

/* A bad page is lost; the guest has all others, by pages. */
static void memory_failure_of_a_page(void)
{
	int fd = poison_open();
	uint64_t pfn;

	begin();
	fill(3);
	pfn = frame_of(PAGE);
	TEST_ASSERT_EQ(pfn % CHUNK_PAGES, PAGE % CHUNK_PAGES);
	TEST_ASSERT(poison_pfn(fd, pfn), "hard_offline_page: errno %d", errno);
	TEST_ASSERT_EQ(guest_try_touch(m, PAGE), EHWPOISON);
	expect_all_but_one();
	/* One that is touched afterwards does not make it whole again. */
	TEST_ASSERT_EQ(host_try_read(host_page(m, PAGE + 1)), 0);
	TEST_ASSERT_EQ(chunks_of(m->view), CHUNKS - 1);

	punch_pages(m->view, CHUNK_PAGES, CHUNK_PAGES);
	TEST_ASSERT(is_poisoned(pfn), "frame %lx is no longer marked", pfn);
	guest_expect(m, CHUNK_PAGES, CHUNK_PAGES, 0);
	TEST_ASSERT_EQ(chunks_of(m->view), CHUNKS);
	end();
}

/* In one that is allocated, and that an owed page keeps from being whole: it never becomes so. */
static void memory_failure_of_an_untouched_page(void)
{
	int fd = poison_open(), pager;

	require_pager();
	begin();
	allocate_pages(m->view, CHUNK_PAGES, CHUNK_PAGES);
	pager = __pager(m->view, PAGE, 1, 0);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE + 1), 0);
	TEST_ASSERT_EQ(chunks_of(m->view), 0);
	TEST_ASSERT(poison_pfn(fd, frame_of(PAGE + 1) + 5), "memory failure: errno %d", errno);

	copy(pager, 5, PAGE, 1);
	TEST_ASSERT_EQ(guest_try_touch(m, PAGE + 6), EHWPOISON);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 0);
	TEST_ASSERT_EQ(host_try_read(host_page(m, PAGE + 2)), 0);
	TEST_ASSERT_EQ(chunks_of(m->view), 0);
	close(pager);
	end();
}

/* The same without a bad page: with the last one that was owed it is whole. */
static void allocated_and_owed(void)
{
	int pager;

	require_pager();
	begin();
	allocate_pages(m->view, CHUNK_PAGES, CHUNK_PAGES);
	pager = __pager(m->view, PAGE, 1, 0);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE + 1), 0);
	copy(pager, 5, PAGE, 1);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 1);
	guest_expect(m, CHUNK_PAGES, PAGE - CHUNK_PAGES, 0);
	guest_expect(m, PAGE, 1, 5);
	close(pager);
	end();
}

/* Kept in one piece, a chunk that is private in part is mapped by pages, until it is not. */
static void a_conversion_and_back(void)
{
	begin_protected();
	fill(3);
	make_private(m->view, PAGE, 1);
	TEST_ASSERT_EQ(chunks_of(m->view), CHUNKS);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), CHUNKS - 1);
	host_expect(m, 0, PAGE, 3);
	host_expect_sigbus(m, PAGE, 1);
	/* By the guest's page tables it is mapped as shared or private alike. */
	guest_expect(m, 0, PAGES, 3);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), CHUNKS - 1);
	make_private(m->view, PAGE + 1, 1);
	make_shared(m->view, PAGE + 1, 1);
	make_shared(m->view, PAGE, 1);
	guest_expect(m, 0, PAGES, 3);
	host_expect(m, 0, PAGES, 3);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), CHUNKS);

	/* All private, all of it is mapped as a whole, too. */
	make_private(m->view, 0, PAGES);
	guest_expect(m, 0, PAGES, 3);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), CHUNKS);
	host_expect_sigbus(m, PAGE, 2);
	make_shared(m->view, PAGE, PAGES - PAGE);
	guest_expect(m, 0, PAGES, 3);
	TEST_ASSERT_EQ(vm_get_stat(m->vm, "pages_2m"), CHUNKS - 1);
	end();
}

static void all_private_by_touch(void)
{
	require_convert();
	begin_of(KVM_X86_SW_PROTECTED_VM, MMAP_PRIVATE);
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 1);
	TEST_ASSERT_EQ(resident(m->view), CHUNK_PAGES);
	host_expect_sigbus(m, PAGE, 1);
	guest_write(m, 0, PAGES, 3);
	make_shared(m->view, 0, PAGES);
	host_expect(m, 0, PAGES, 3);
	end();
}

/* How often pages from @first on were taken out of the VM's tables since the last look. */
static unsigned int invalidations(uint64_t first, uint64_t n)
{
	uint64_t gfn = MACHINE_GPA / PAGE_SIZE + first;
	unsigned int count;
	char match[64];

	snprintf(match, sizeof(match), "gfn %#lx-%#lx", gfn, gfn + n);
	count = trace_count("gmem_invalidate", match);
	trace_clear();
	return count;
}

/*
 * A fault on another page may be about to map all of the chunk, and starts over only if its own
 * page is being taken away: whatever takes one page does so with all of them, begin and end. A
 * chunk that nobody maps as one is spared.
 */
static void taken_away_as_a_whole(void)
{
	int fd = poison_open();

	begin_protected();
	trace_start("gmem_invalidate");
	fill(3);

	make_private(m->view, PAGE, 1);
	TEST_ASSERT_EQ(invalidations(CHUNK_PAGES, CHUNK_PAGES), 1);
	make_private(m->view, PAGE + 2, 1);
	TEST_ASSERT_EQ(invalidations(PAGE + 2, 1), 1);
	make_shared(m->view, PAGE + 2, 1);
	TEST_ASSERT_EQ(invalidations(PAGE + 2, 1), 1);
	make_shared(m->view, PAGE, 1);
	TEST_ASSERT_EQ(invalidations(CHUNK_PAGES, CHUNK_PAGES), 1);
	make_private(m->view, PAGE, CHUNK_PAGES);
	TEST_ASSERT_EQ(invalidations(CHUNK_PAGES, 2 * CHUNK_PAGES), 1);
	make_shared(m->view, 0, PAGES);
	trace_clear();

	punch_pages(m->view, PAGE, 1);
	TEST_ASSERT_EQ(invalidations(CHUNK_PAGES, CHUNK_PAGES), 1);
	punch_pages(m->view, PAGE + 1, 1);
	TEST_ASSERT_EQ(invalidations(PAGE + 1, 1), 1);
	punch_pages(m->view, 5, 2 * CHUNK_PAGES);
	TEST_ASSERT_EQ(invalidations(0, PAGES), 1);

	punch_pages(m->view, 0, PAGES);
	fill(3);
	trace_clear();
	TEST_ASSERT(poison_pfn(fd, frame_of(PAGE)), "memory failure: errno %d", errno);
	TEST_ASSERT_EQ(guest_try_touch(m, PAGE), EHWPOISON);
	TEST_ASSERT(invalidations(CHUNK_PAGES, CHUNK_PAGES) >= 1, "not as a whole");
	punch_pages(m->view, PAGE, 1);
	TEST_ASSERT_EQ(invalidations(PAGE, 1), 1);
	end();
}

static void told_by_tracepoints(void)
{
	char match[64];

	begin();
	snprintf(match, sizeof(match), "ino %lu pgoff %#lx", fdinfo(m->view, "ino"), CHUNK_PAGES);
	trace_start("gmem_chunk");
	guest_touch(m, PAGE, 1);
	TEST_ASSERT_EQ(trace_count("gmem_chunk", match), 1);
	trace_start("gmem_chunk_break");
	punch_pages(m->view, PAGE, 1);
	TEST_ASSERT_EQ(trace_count("gmem_chunk_break", match), 1);
	end();
}

/* By a guest that touches each page once. */
static unsigned int faults(const char *when)
{
	unsigned int count;
	char match[32];

	chunks_when(when);
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);
	snprintf(match, sizeof(match), "ino %lu", fdinfo(m->view, "ino"));
	trace_start("gmem_fault");
	guest_touch(m, 0, PAGES);
	count = trace_count("gmem_fault", match);
	trace_clear();
	end();
	return count;
}

static void faults_are_few(void)
{
	unsigned int few = faults("fits"), many = faults("never");

	TEST_ASSERT(many >= PAGES && few * 400 <= many, "%u faults, %u by pages", few, many);
}

static void charged_to_who_touches(void)
{
	const char *group;

	begin();
	cgroups_begin();
	group = cgroup_create("chunks");
	cgroup_enter(group);
	guest_touch(m, PAGE, 1);
	cgroup_expect_pages(group, CHUNK_PAGES, CHUNK_PAGES);
	punch_pages(m->view, PAGE, 1);
	cgroup_expect_pages(group, CHUNK_PAGES - 1, CHUNK_PAGES - 1);
	punch_pages(m->view, 0, PAGES);

	/* Less than 2 MiB: the page that was touched comes, and no other stays. */
	write_file(cgroup_path(group, "memory.max"), "1M");
	TEST_ASSERT_EQ(huge_by_touch(m, PAGE), 0);
	TEST_ASSERT_EQ(host_try_write(host_page(m, 0)), 0);
	TEST_ASSERT_EQ(populate_offset(m->view, 2 * CHUNK_PAGES, 2, NULL), 2L);
	TEST_ASSERT_EQ(resident(m->view), 4);
	TEST_ASSERT_EQ(chunks_of(m->view), 0);
	cgroup_expect_pages(group, 4, 4);
	guest_expect(m, PAGE, 1, 0);
	write_file(cgroup_path(group, "memory.max"), "max");
	cgroup_enter("");
	end();
}

static const struct claim claims[] = {
	CLAIM(by_a_guest, "a guest's touch brings 2 MiB, which KVM maps as one"),
	CLAIM(by_the_host, "a host's touch brings 2 MiB, which KVM maps as one"),
	CLAIM(mapped_around, "the host faults once or twice on 2 MiB that are there"),
	CLAIM(by_allocating, "fallocate brings 2 MiB, missing until one is touched"),
	CLAIM(allocating_a_part, "fallocate of a part of 2 MiB brings no more than that"),
	CLAIM(by_populating, "populating 2 MiB brings them in one piece"),
	CLAIM(by_writing, "write(2) brings 2 MiB in one piece"),
	CLAIM(by_a_pagers_answer, "a pager's answer of 2 MiB, and no touch where it owes a page"),
	CLAIM(not_where_a_page_is, "a touch beside a page that is there brings a page"),
	CLAIM(not_where_a_part_is_private, "a touch beside a private page brings a page"),
	CLAIM(not_when_never, "none where the parameter says never, which takes known words only"),
	CLAIM(not_past_the_end, "none that the inode's end cuts"),
	CLAIM(mapped_by_pages_where_none_fits, "a guest that has it shifted maps it by pages"),
	CLAIM(any_userspace_addr, "a memslot's userspace_addr says nothing of how it is mapped"),
	CLAIM(a_hole_of_a_page, "a hole of a page leaves the others, mapped by pages"),
	CLAIM(holes_of_all_kinds, "holes that begin and end anywhere"),
	CLAIM(linked_guests, "a hole by one view takes it from the other VM, too"),
	CLAIM(memory_failure_of_a_page, "memory failure takes a page, and leaves the others"),
	CLAIM(memory_failure_of_an_untouched_page, "with a bad page it never becomes whole"),
	CLAIM(allocated_and_owed, "one that was allocated is whole when its last owed page comes"),
	CLAIM(a_conversion_and_back, "a converted page takes the mapping away, and back again"),
	CLAIM(all_private_by_touch, "an inode that is all private has them too"),
	CLAIM(taken_away_as_a_whole, "whatever takes a page away invalidates all of its chunk"),
	CLAIM(faults_are_few, "a guest faults 400 times less often than on pages"),
	CLAIM(charged_to_who_touches, "charged to who touches, or a page alone within a limit"),
	CLAIM(told_by_tracepoints, "tracepoints tell of each, and of its end"),
};

CLAIMS_MAIN(claims);
