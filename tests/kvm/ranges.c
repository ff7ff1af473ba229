// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values by ranges, which are many, and then one: what a pager owes, an inode's
 * attributes, a VM's. Each is changed at random and compared with an array.
 */
#include <sys/uio.h>

#include "claims.h"
#include "machine.h"
#include "mapped.h"
#include "paging.h"
#include "populate.h"
#include "populated.h"

#define BLOCK	512		/* pages that the modules keep together */
#define PAGES	(8 * BLOCK)
#define CHANGES	16000
#define ALL	1000		/* changes after which all pages are looked at */

static uint8_t model[PAGES];

/* The seed, of which all that a claim does is made. */
static void begin(void)
{
	const char *given = getenv("GMEM_TEST_SEED");
	unsigned int seed = given ? atoi(given) : time(NULL);

	printf("# GMEM_TEST_SEED=%u\n", seed);
	srandom(seed);
}

/* Pages next to each other, from a few to all; often some that blocks end at. */
static void some(uint64_t *first, uint64_t *n)
{
	uint64_t last;

	*first = random() % PAGES;
	switch (random() % 16) {
	case 0:
		last = *first + random() % (PAGES - *first);
		break;
	case 1:
		*first -= *first % BLOCK;
		last = *first + BLOCK * (1 + random() % 3) - 1;
		break;
	case 2:
		last = *first | (BLOCK - 1);
		break;
	case 3:
		last = *first + random() % BLOCK;
		*first -= *first % BLOCK;
		break;
	default:
		last = *first + random() % 8;
	}
	if (last >= PAGES)
		last = PAGES - 1;
	*n = last - *first + 1;
}

/* A change is followed by a look at both of its ends, at some pages, or at all. */
static void look(int change, uint64_t first, uint64_t n, void (*expect)(uint64_t page))
{
	if (change % ALL == ALL - 1) {
		for (uint64_t page = 0; page < PAGES; page++)
			expect(page);
		return;
	}
	if (first)
		expect(first - 1);
	expect(first);
	expect(first + n - 1);
	if (first + n < PAGES)
		expect(first + n);
	expect(random() % PAGES);
}

static int view, pager;

/* How many pages are owed, failed or not: by the model, and by the pager. */
static void expect_owed(void)
{
	uint64_t owed = 0, missing;

	for (uint64_t page = 0; page < PAGES; page++)
		owed += model[page];
	if (!owed)
		return;
	TEST_ERRNO(detach(pager, 0, &missing), EBUSY);
	TEST_ASSERT_EQ(missing, owed);
}

static void all_is_owed(void)
{
	close(pager);
	/* All is one range again. */
	pager = __pager(view, 0, PAGES, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
	memset(model, 1, PAGES);
}

static void what_is_owed(void)
{
	uint64_t first, n;

	require_pager();
	begin();
	view = vm_create_guest_memfd(idle_vm(), PAGES * PAGE_SIZE, 0);
	pager = __pager(view, 0, PAGES, 0);
	memset(model, 1, PAGES);
	for (int change = 0; change < CHANGES; change++) {
		if (change % ALL == 0)
			all_is_owed();
		some(&first, &n);
		if (random() & 1) {
			punch_pages(view, first, n);
			memset(model + first, 0, n);
		} else {
			TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_FAIL, first, n, NULL),
				       memchr(model + first, 0, n) ? ENOENT : 0);
		}
		if (change % 16 == 0)
			expect_owed();
	}
}

static uint64_t *host;

/* A private page is none that this process can read. */
static void expect_of_inode(uint64_t page)
{
	uint64_t word;
	struct iovec to = { &word, sizeof(word) };
	struct iovec from = { host + page * (PAGE_SIZE / sizeof(*host)), sizeof(word) };
	ssize_t ret = process_vm_readv(getpid(), &to, 1, &from, 1, 0);

	TEST_ASSERT(ret == (model[page] ? -1 : (ssize_t)sizeof(word)),
		    "page %lu, %s: read returned %ld", page,
		    model[page] ? "private" : "shared", ret);
}

static void of_an_inode(void)
{
	uint64_t first, n;

	require_link();
	begin();
	view = vm_create_guest_memfd(idle_vm(), PAGES * PAGE_SIZE, MMAP_PRIVATE);
	host = map_view(view, PAGES);
	memset(model, 1, PAGES);
	for (int change = 0; change < CHANGES; change++) {
		bool private = random() & 1;

		some(&first, &n);
		TEST_ASSERT(!__convert(view, first, n,
				       private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0, NULL),
			    "errno %d", errno);
		memset(model + first, private, n);
		look(change, first, n, expect_of_inode);
	}
}

static struct kvm_vm *vm;

static void expect_of_vm(uint64_t page)
{
	expect_attribute(vm, page, model[page]);
}

static void of_a_vm(void)
{
	uint64_t first, n;

	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	begin();
	vm = idle_vm();
	view = populated_view(vm, PAGES, 0);
	memset(model, 0, PAGES);
	for (int change = 0; change < CHANGES; change++) {
		uint64_t beyond = random() % 64 ? 0 : (1 + random() % 4096) * PAGE_SIZE;
		bool private = random() & 1;

		some(&first, &n);
		/* Some go on where there is no memory. */
		if (beyond && first + n < PAGES)
			beyond = 0;
		vm_set_memory_attributes(vm, MACHINE_GPA + first * PAGE_SIZE,
					 n * PAGE_SIZE + beyond,
					 private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
		memset(model + first, private, n);
		look(change, first, n, expect_of_vm);
	}
}

#define FAR_PAGES	(64ULL << 18)	/* 64 GiB */
#define FAR_CHANGES	4000
#define MULTIPLES	9

/* Pages at the edges of 2 MiB, of 128 MiB and of 8 GiB, and whether they are private. */
static struct probe {
	uint64_t page;
	bool private;
} probes[2 * 3 * MULTIPLES + 2];
static int nr_probes;

static void add_probe(uint64_t page)
{
	if (page < FAR_PAGES && (!nr_probes || page > probes[nr_probes - 1].page))
		probes[nr_probes++].page = page;
}

static void add_probes(void)
{
	static const int levels[] = { 9, 15, 21 };

	nr_probes = 0;
	add_probe(0);
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		for (uint64_t multiple = 1; multiple <= MULTIPLES; multiple++) {
			add_probe((multiple << levels[i]) - 1);
			add_probe(multiple << levels[i]);
		}
	}
	add_probe(FAR_PAGES - 1);
}

static int populate_gfn(uint64_t page)
{
	struct kvm_guest_memfd_populate args = {
		.gpa = MACHINE_GPA + page * PAGE_SIZE, .size = PAGE_SIZE,
	};

	return ioctl(vm->fd, KVM_GUEST_MEMFD_POPULATE, &args);
}

static void expect_probe(const struct probe *p)
{
	errno = 0;
	TEST_ASSERT(populate_gfn(p->page) == -1 && errno == (p->private ? EEXIST : EINVAL),
		    "page %lu, %s: errno %d", p->page, p->private ? "private" : "shared", errno);
}

/* From one probe to another, or one alone. */
static void change_far(void)
{
	int a = random() % nr_probes, b = random() % 2 ? a : random() % nr_probes;
	struct probe *first = &probes[a < b ? a : b], *last = &probes[a < b ? b : a];
	bool private = random() & 1;

	vm_set_memory_attributes(vm, MACHINE_GPA + first->page * PAGE_SIZE,
				 (last->page - first->page + 1) * PAGE_SIZE,
				 private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
	for (struct probe *p = first; p <= last; p++)
		p->private = private;
}

static void far_apart(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	begin();
	add_probes();
	vm = idle_vm();
	view = vm_create_guest_memfd(vm, FAR_PAGES * PAGE_SIZE, 0);
	vm_set_user_memory_region2(vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
				   FAR_PAGES * PAGE_SIZE, NULL, view, 0);
	for (int i = 0; i < nr_probes; i++)
		TEST_ASSERT_EQ(populate_offset(view, probes[i].page, 1, NULL), 1L);
	for (int change = 0; change < FAR_CHANGES; change++) {
		change_far();
		for (int i = 0; i < nr_probes; i++)
			expect_probe(&probes[i]);
	}
}

static const struct claim claims[] = {
	SLOW_CLAIM(what_is_owed, 120, "what a pager owes, in hundreds of ranges and in one"),
	SLOW_CLAIM(of_an_inode, 120, "an inode's attributes"),
	SLOW_CLAIM(of_a_vm, 120, "a VM's attributes"),
	SLOW_CLAIM(far_apart, 120, "a VM's attributes in 64 GiB, ends at large powers of two"),
};

CLAIMS_MAIN(claims);
