// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whoever gets a page next: see reuse.h.
 */
#include "mapped.h"
#include "reuse.h"

#define MARK	0x6b63696c6b636f43

void reuse_init(struct reuse *s, uint64_t npages)
{
	struct kvm_vm *vm;

	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_MMAP,
		       "these modules have no GUEST_MEMFD_FLAG_MMAP");
	vm = vm_create_barebones();
	s->npages = npages;
	s->view = vm_create_guest_memfd(vm, npages * PAGE_SIZE, MMAP_SHARED);
	s->words = map_view(s->view, npages);
}

void reuse_take(struct reuse *s)
{
	allocate_pages(s->view, 0, s->npages);
	for (uint64_t i = 0; i < s->npages * PAGE_SIZE / sizeof(*s->words); i++)
		s->words[i] = MARK;
}

void reuse_give_back(struct reuse *s)
{
	for (uint64_t i = 0; i < s->npages * PAGE_SIZE / sizeof(*s->words); i++)
		TEST_ASSERT(s->words[i] == MARK, "word %lu of a page of somebody else is %lx", i,
			    s->words[i]);
	punch_pages(s->view, 0, s->npages);
}
