// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chunks (2 MiB in one piece, of single pages) against guests that fault on other pages of
 * them, and are about to map all. For each way in which a page leaves a chunk, or changes: once
 * the call returns, neither of two VMs with views of the inode has it mapped as a whole, nor
 * gets to.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "chunks.h"
#include "huge.h"
#include "mapped.h"
#include "poison.h"
#include "populate.h"
#include "reuse.h"
#include "stress.h"

#define CHUNKS		3
#define PAGES		(CHUNKS * CHUNK_PAGES)
#define TOUCHED		16	/* pages at the chunk's begin that guests touch */
#define ROUNDS		60
#define PATTERN		7

static struct machine *a, *b;
static bool stop;

static void begin(uint64_t npages)
{
	require_convert();
	require_link();
	chunks_when("fits");
	a = mapped_create(KVM_X86_SW_PROTECTED_VM, npages, MMAP_SHARED);
	b = mapped_link(KVM_X86_SW_PROTECTED_VM, a->view, npages);
}

static void end(void)
{
	munmap(a->host, a->npages * PAGE_SIZE);
	munmap(b->host, b->npages * PAGE_SIZE);
	machine_free(b);
	machine_free(a);
}

static void guest_code_touch(uint64_t first, uint64_t n)
{
	for (uint64_t page = first; page < first + n; page++)
		*(volatile uint64_t *)(MACHINE_GVA + page * PAGE_SIZE);
	GUEST_RETURN(0);
}

static void *touch_on(void *m)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		machine_call_on(m, guest_code_touch, 0, TOUCHED, 0);
	return NULL;
}

static uint64_t mapped_as_one(void)
{
	return vm_get_stat(a->vm, "pages_2m") + vm_get_stat(b->vm, "pages_2m");
}

/*
 * The guests have it, and as a whole. A fault that comes while a hole is being punched does
 * with a single page: then once more from the beginning.
 */
static void expect_whole(void)
{
	double until = 0;

	while (mapped_as_one() < 2 && claim_is_patient(&until)) {
		if (!chunks_of(a->view))
			punch_pages(a->view, 0, CHUNK_PAGES);
	}
	TEST_ASSERT_EQ(mapped_as_one(), 2);
	TEST_ASSERT_EQ(chunks_of(a->view), 1);
}

static uint64_t random_page(void)
{
	return TOUCHED + random() % (CHUNK_PAGES - TOUCHED - 1);
}

/* While the guests go on: not now, and not a moment later. */
static void expect_none_whole(void)
{
	for (int i = 0; i < 20; i++) {
		TEST_ASSERT_EQ(mapped_as_one(), 0);
		sched_yield();
	}
}

/* Takes the mapping away and gives it back: the guests fault, just now. */
static void have_guests_fault(void)
{
	make_private(a->view, CHUNK_PAGES - 1, 1);
	make_shared(a->view, CHUNK_PAGES - 1, 1);
	usleep(random() % 100);
}

static void by_a_hole(void)
{
	uint64_t page = random_page();

	have_guests_fault();
	/* A long one, most often: between its begin and its end there is much time. */
	punch_pages(random() % 2 ? a->view : b->view, page, 1 + random() % (CHUNK_PAGES - page));
	expect_none_whole();
	punch_pages(a->view, 0, CHUNK_PAGES);
}

static void by_a_conversion(void)
{
	uint64_t page = random_page();

	make_private(random() % 2 ? a->view : b->view, page, 1);
	expect_none_whole();
	make_shared(a->view, page, 1);
}

static uint64_t frame_of(uint64_t page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	TEST_ASSERT_EQ(host_try_read(host_page(a, page)), 0);
	TEST_ASSERT(pread(fd, &entry, 8, (uintptr_t)host_page(a, page) / PAGE_SIZE * 8) == 8 &&
		    entry >> 63, "no pagemap entry of page %lu", page);
	close(fd);
	return entry & ((1ULL << 55) - 1);
}

static void by_memory_failure(void)
{
	static int fd = -1;
	uint64_t pfn;

	if (fd < 0)
		fd = poison_open();
	pfn = frame_of(random_page());
	have_guests_fault();
	TEST_ASSERT(poison_pfn(fd, pfn), "memory failure: errno %d", errno);
	/* Where somebody had a reference, it is dealt with a moment later. */
	for (double until = 0; chunks_of(a->view) && claim_is_patient(&until);)
		;
	TEST_ASSERT_EQ(chunks_of(a->view), 0);
	/* The mark goes first, then the mapping. */
	for (double until = 0; mapped_as_one() && claim_is_patient(&until);)
		;
	expect_none_whole();
	punch_pages(a->view, 0, CHUNK_PAGES);
}

/* A hole and memory failure at once: the one that finds the mark gone waits for the other. */
static void *fail_page(void *arg)
{
	TEST_ASSERT(poison_pfn(((int *)arg)[0], ((int *)arg)[1]), "memory failure");
	return NULL;
}

static void by_both_at_once(void)
{
	static int fd = -1;
	int arg[2];
	pthread_t thread;

	if (fd < 0)
		fd = poison_open();
	arg[0] = fd;
	arg[1] = frame_of(TOUCHED);
	pthread_create(&thread, NULL, fail_page, arg);
	punch_pages(a->view, TOUCHED + 1, CHUNK_PAGES - TOUCHED - 1);
	expect_none_whole();
	pthread_join(thread, NULL);
	expect_none_whole();
	punch_pages(a->view, 0, CHUNK_PAGES);
}

static void race(void (*way)(void), unsigned int rounds)
{
	pthread_t guests[2];

	begin(CHUNK_PAGES);
	pthread_create(&guests[0], NULL, touch_on, a);
	pthread_create(&guests[1], NULL, touch_on, b);
	for (unsigned int i = 0; i < claim_times(rounds); i++) {
		expect_whole();
		way();
	}
	expect_whole();
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++)
		pthread_join(guests[i], NULL);
	end();
}

static void holes(void)
{
	race(by_a_hole, ROUNDS);
}

static void conversions(void)
{
	race(by_a_conversion, ROUNDS);
}

/* Each costs this machine a page for good. */
static void memory_failures(void)
{
	race(by_memory_failure, 12);
}

static void holes_with_memory_failures(void)
{
	race(by_both_at_once, 12);
}

/*
 * All at once. In the first chunk guests keep counters in pages of their own, while others are
 * converted; in the second, pages are punched and populated, and all of it now and then; in the
 * third, pages fail. Somebody else takes what is freed, and marks it.
 */
static void guest_code_work(uint64_t who, uint64_t round)
{
	uint64_t *base = (uint64_t *)MACHINE_GVA;

	for (uint64_t page = who; page < CHUNK_PAGES; page += 8) {
		uint64_t *p = base + page * 512;

		__GUEST_ASSERT(*p == (round ? page << 32 | (round - 1) : 0),
			       "page %lu is %lx in round %lu", page, *p, round);
		*p = page << 32 | round;
	}
	for (uint64_t page = CHUNK_PAGES; page < 3 * CHUNK_PAGES; page += 7) {
		volatile uint64_t *p = base + page * 512;
		uint64_t got;

		if (page >= 2 * CHUNK_PAGES && page % 8 == 5)
			continue;
		got = *p;
		__GUEST_ASSERT(!got || got == pattern_word(PATTERN, page, 0), "page %lu is %lx",
			       page, got);
		*p = pattern_word(PATTERN, page, 0);
	}
	GUEST_RETURN(0);
}

static void work_a(void *arg __maybe_unused)
{
	static uint64_t round;

	machine_call_on(a, guest_code_work, 0, round++, 0);
}

static void work_b(void *arg __maybe_unused)
{
	static uint64_t round;

	machine_call_on(b, guest_code_work, 1, round++, 0);
}

static void convert_some(void *arg __maybe_unused)
{
	uint64_t page = random() % (CHUNK_PAGES / 8) * 8 + 3, in_the_way;

	if (!__convert(a->view, page, 1, KVM_MEMORY_ATTRIBUTE_PRIVATE, &in_the_way))
		make_shared(b->view, page, 1);
}

static void punch_some(void *arg __maybe_unused)
{
	static unsigned int round;

	if (++round % 8)
		punch_pages(b->view, CHUNK_PAGES + random() % CHUNK_PAGES, 1);
	else
		punch_pages(a->view, CHUNK_PAGES, CHUNK_PAGES);
}

static void populate_some(void *arg __maybe_unused)
{
	static uint64_t *content;
	uint64_t first, n;
	long r;

	if (!content)
		content = pattern_pages(CHUNK_PAGES, CHUNK_PAGES, PATTERN);
	n = random() % 2 ? CHUNK_PAGES : 1 + random() % 8;
	first = random() % (CHUNK_PAGES - n + 1);
	r = populate_offset(a->view, CHUNK_PAGES + first, n, content + first * 512);
	TEST_ASSERT(r > 0 || errno == EEXIST, "populate: errno %d", errno);
}

static void host_looks(void *arg __maybe_unused)
{
	uint64_t page = CHUNK_PAGES + random() % CHUNK_PAGES, got;

	if (!host_try_load(host_page(b, page), &got))
		TEST_ASSERT(!got || got == pattern_word(PATTERN, page, 0), "page %lu is %lx",
			    page, got);
}

static void fail_some(void *arg)
{
	static unsigned int round;

	/* Not more than a few. */
	if (round++ < 8)
		poison_pfn(*(int *)arg, frame_of(2 * CHUNK_PAGES + 5 + 8 * (random() % 64)));
	else
		usleep(1000);
	punch_pages(a->view, 2 * CHUNK_PAGES, CHUNK_PAGES);
}

static void reuse_some(void *arg)
{
	reuse_take(arg);
	reuse_give_back(arg);
}

static void all_at_once(void)
{
	static struct reuse reuse;
	int fd = poison_open();
	struct stress_op ops[] = {
		{ "a", work_a, NULL }, { "b", work_b, NULL }, { "convert", convert_some, NULL },
		{ "punch", punch_some, NULL }, { "populate", populate_some, NULL },
		{ "host", host_looks, NULL },
		{ "fail", fail_some, &fd }, { "reuse", reuse_some, &reuse },
	};

	begin(PAGES);
	reuse_init(&reuse, CHUNK_PAGES);
	guest_touch(a, 0, 1);
	STRESS(ops);
	punch_pages(a->view, CHUNK_PAGES, 2 * CHUNK_PAGES);
	guest_expect(a, CHUNK_PAGES, 2 * CHUNK_PAGES, 0);
	host_expect(b, CHUNK_PAGES, 2 * CHUNK_PAGES, 0);
	TEST_ASSERT_EQ(chunks_of(a->view), CHUNKS);
	end();
}

static const struct claim claims[] = {
	SLOW_CLAIM(holes, 300, "a page that a hole took is mapped by no fault on another"),
	SLOW_CLAIM(conversions, 300, "a page that was converted is mapped by no fault on another"),
	SLOW_CLAIM(memory_failures, 300, "nor is a page with a memory error"),
	SLOW_CLAIM(holes_with_memory_failures, 300, "nor either, when both come at once"),
	SLOW_CLAIM(all_at_once, 300, "guests keep what is theirs while others do all this at once"),
};

CLAIMS_MAIN(claims);
