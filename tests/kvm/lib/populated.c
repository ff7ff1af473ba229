// SPDX-License-Identifier: GPL-2.0-only
/* A VM whose memory is all populated: see populated.h. */
#include "populate.h"
#include "populated.h"

int populated_view(struct kvm_vm *vm, uint64_t npages, uint64_t flags)
{
	int view = vm_create_guest_memfd(vm, npages * PAGE_SIZE, flags);

	vm_set_user_memory_region2(vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
				   npages * PAGE_SIZE, NULL, view, 0);
	TEST_ASSERT_EQ(populate_offset(view, 0, npages, NULL), (long)npages);
	return view;
}

void expect_attribute(struct kvm_vm *vm, uint64_t page, bool private)
{
	struct kvm_guest_memfd_populate args = {
		.gpa = MACHINE_GPA + page * PAGE_SIZE, .size = PAGE_SIZE,
	};

	errno = 0;
	TEST_ASSERT(ioctl(vm->fd, KVM_GUEST_MEMFD_POPULATE, &args) == -1 &&
		    errno == (private ? EEXIST : EINVAL), "page %lu, %s: errno %d", page,
		    private ? "private" : "shared", errno);
}
