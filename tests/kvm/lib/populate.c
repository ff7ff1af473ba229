// SPDX-License-Identifier: GPL-2.0-only
/*
 * Populating: see populate.h.
 */
#include <sys/mman.h>

#include "populate.h"

#define WORDS	(PAGE_SIZE / sizeof(uint64_t))

long populate(struct machine *m, uint64_t first, uint64_t n, const void *from)
{
	struct kvm_guest_memfd_populate args = {
		.gpa = MACHINE_GPA + first * PAGE_SIZE,
		.size = n * PAGE_SIZE,
		.from = (uintptr_t)from,
	};

	return __vm_ioctl(m->vm, KVM_GUEST_MEMFD_POPULATE, &args);
}

long populate_offset(int fd, uint64_t first, uint64_t n, const void *from)
{
	struct kvm_gmem_populate args = {
		.offset = first * PAGE_SIZE,
		.size = n * PAGE_SIZE,
		.from = (uintptr_t)from,
	};

	return ioctl(fd, KVM_GMEM_POPULATE, &args);
}

int filler_of(int view)
{
	struct kvm_gmem_create_filler args = { 0 };
	int fd = ioctl(view, KVM_GMEM_CREATE_FILLER, &args);

	TEST_ASSERT(fd >= 0, "KVM_GMEM_CREATE_FILLER: errno %d", errno);
	return fd;
}

uint64_t *pattern_pages(uint64_t first, uint64_t n, uint64_t pattern)
{
	uint64_t *pages = mmap(NULL, n * PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(pages != MAP_FAILED, "mmap");
	for (uint64_t page = 0; page < n; page++) {
		for (uint64_t i = 0; i < WORDS; i++)
			pages[page * WORDS + i] = pattern_word(pattern, first + page, i);
	}
	return pages;
}
