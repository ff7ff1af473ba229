// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that runs out in the middle of changes of attributes: a change is made as
 * a whole or not at all, and its ends may lie anywhere. Needs the debug kernel's
 * fault injection.
 */
#include "claims.h"
#include "failing.h"
#include "machine.h"
#include "mapped.h"
#include "paging.h"
#include "populated.h"

#define BLOCK	512		/* pages that the modules keep together */
#define PAGES	(5 * BLOCK)

/* What all changes begin with is private, and owed. */
static const struct change {
	uint64_t first, n;
	bool to;
} changes[] = {
	{ 100, 3 * BLOCK, false },		/* blocks, and parts of two */
	{ BLOCK + 7, 1, true },			/* one of what is uniform */
	{ 2 * BLOCK + 9, 1, true },
	{ BLOCK, 2 * BLOCK, true },		/* blocks that have several values */
	{ 0, BLOCK, false },			/* one of them */
	{ BLOCK - 1, 2, true },			/* parts of two, and no more */
	{ 3 * BLOCK, 2 * BLOCK, false },
	{ 0, PAGES, true },
};

static struct kvm_vm *vm;
static int view, pager;
static size_t current;
static bool model[PAGES];
static int (*set)(uint64_t first, uint64_t n, bool to);
static void (*expect_all)(void);

static void apply(const struct change *change)
{
	TEST_ASSERT(!set(change->first, change->n, change->to), "errno %d", errno);
	memset(model + change->first, change->to, change->n);
}

static void prepare_change(void)
{
	apply(&(struct change){ 0, PAGES, true });
	for (size_t i = 0; i < current; i++)
		apply(&changes[i]);
}

static int make_change(void)
{
	return set(changes[current].first, changes[current].n, changes[current].to);
}

/* Done it is; that it was is found by looking. */
static void change_was_made(int made)
{
	(void)made;
	memset(model + changes[current].first, changes[current].to, changes[current].n);
}

/* And what failed succeeds later. */
static void check_change(void)
{
	expect_all();
	apply(&changes[current]);
	expect_all();
}

static void fail_each_change(void)
{
	int failed, sum = 0;

	/* Some need no memory: those of whole blocks, and of one that has bits already. */
	for (current = 0; current < ARRAY_SIZE(changes); current++) {
		try_allocations(&(struct request){
			prepare_change, make_change, change_was_made, check_change,
		}, &failed);
		sum += failed;
	}
	TEST_ASSERT(sum, "no allocation failed");
}

static int set_of_vm(uint64_t first, uint64_t n, bool to)
{
	struct kvm_memory_attributes attrs = {
		.address = MACHINE_GPA + first * PAGE_SIZE, .size = n * PAGE_SIZE,
		.attributes = to ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs);
}

static void expect_of_vm(void)
{
	for (uint64_t page = 0; page < PAGES; page++)
		expect_attribute(vm, page, model[page]);
}

static void of_a_vm(void)
{
	require_fault_injection();
	vm = idle_vm();
	view = populated_view(vm, PAGES, 0);
	set = set_of_vm;
	expect_all = expect_of_vm;
	fail_each_change();
}

static int set_of_inode(uint64_t first, uint64_t n, bool to)
{
	return __convert(view, first, n, to ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0, NULL);
}

static void of_an_inode(void)
{
	require_fault_injection();
	require_link();
	vm = idle_vm();
	view = populated_view(vm, PAGES, MMAP_PRIVATE);
	set = set_of_inode;
	expect_all = expect_of_vm;
	fail_each_change();
}

/* Not owed any more by a hole; owed again by a pager that takes over. */
static int set_owed(uint64_t first, uint64_t n, bool to)
{
	int fd;

	if (!to)
		return fallocate(view, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 first * PAGE_SIZE, n * PAGE_SIZE);
	close(pager);
	fd = __pager(view, first, n, KVM_GMEM_PAGER_TAKEOVER);
	if (fd < 0)
		return -1;
	pager = fd;
	return 0;
}

static void expect_owed(void)
{
	uint64_t owed = 0, missing;

	for (uint64_t page = 0; page < PAGES; page++)
		owed += model[page];
	/* What could not be made left none: one that owes nothing more. */
	if (fcntl(pager, F_GETFD) < 0)
		pager = __pager(view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
	if (!owed)
		return;
	TEST_ERRNO(detach(pager, 0, &missing), EBUSY);
	TEST_ASSERT_EQ(missing, owed);
}

static void what_is_owed(void)
{
	require_fault_injection();
	require_pager();
	view = vm_create_guest_memfd(idle_vm(), PAGES * PAGE_SIZE, 0);
	pager = __pager(view, 0, PAGES, 0);
	set = set_owed;
	expect_all = expect_owed;
	fail_each_change();
}

static const struct claim claims[] = {
	SLOW_CLAIM(of_a_vm, 300, "KVM_SET_MEMORY_ATTRIBUTES: ENOMEM and no page was changed"),
	SLOW_CLAIM(of_an_inode, 300, "KVM_SET_MEMORY_ATTRIBUTES2: the same"),
	SLOW_CLAIM(what_is_owed, 300, "holes and takeovers: ENOMEM, and what is owed stays"),
};

CLAIMS_MAIN(claims);
