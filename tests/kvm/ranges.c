// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values by ranges, of which there are many, and then one: what a pager owes,
 * an inode's attributes, a VM's. The tree of ranges loses whole branches at once.
 */
#include "claims.h"
#include "machine.h"
#include "mapped.h"
#include "paging.h"

#define PAGES	4096
#define ROUNDS	20
#define BORDERS	800

/* Some pages, from a few to all of those from @first on. */
static uint64_t some(uint64_t first)
{
	return 1 + random() % (random() % 64 ? 8 : PAGES - first);
}

static void what_is_owed(void)
{
	struct kvm_vm *vm = idle_vm();
	int view, pager;

	require_pager();
	view = vm_create_guest_memfd(vm, PAGES * PAGE_SIZE, 0);
	pager = __pager(view, 0, PAGES, 0);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < BORDERS; i++)
			punch_pages(view, random() % (PAGES - 8), 1 + random() % 8);
		close(pager);
		/* All is one range again. */
		pager = __pager(view, 0, PAGES, KVM_GMEM_PAGER_TAKEOVER);
		TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
	}
}

static void of_an_inode(void)
{
	struct kvm_vm *vm = idle_vm();
	int view;

	require_link();
	view = vm_create_guest_memfd(vm, PAGES * PAGE_SIZE, MMAP_PRIVATE);
	for (int i = 0; i < ROUNDS * BORDERS; i++) {
		uint64_t first = random() % PAGES, n = some(first);
		uint64_t private = random() & 1 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;

		n = first + n > PAGES ? PAGES - first : n;
		TEST_ASSERT(!__convert(view, first, n, private, NULL), "errno %d", errno);
	}
}

static void of_a_vm(void)
{
	struct kvm_vm *vm = idle_vm();

	for (int i = 0; i < ROUNDS * BORDERS; i++) {
		uint64_t first = random() % PAGES;

		vm_set_memory_attributes(vm, first * PAGE_SIZE, some(first) * PAGE_SIZE,
					 random() & 1 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
	}
}

static const struct claim claims[] = {
	SLOW_CLAIM(what_is_owed, 120, "what a pager owes, in hundreds of ranges and in one"),
	SLOW_CLAIM(of_an_inode, 120, "an inode's attributes"),
	SLOW_CLAIM(of_a_vm, 120, "a VM's attributes"),
};

CLAIMS_MAIN(claims);
