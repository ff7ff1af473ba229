// SPDX-License-Identifier: MIT
/* Gives missing pages their first content, and tells which pages have some. */
#include <errno.h>
#include <unistd.h>

#include <gmem.h>

#include "kvm/ioctl.h"

/* The kernel counts pages. */
static int64_t in_bytes(int pages)
{
	return pages < 0 ? pages : (int64_t)pages * getpagesize();
}

int64_t gmem_vm_populate(int vm, uint64_t gpa, const void *from, uint64_t size)
{
	struct kvm_guest_memfd_populate populate = {
		.gpa = gpa, .size = size, .from = (uintptr_t)from,
	};

	return in_bytes(gmem_ioctl(vm, KVM_GUEST_MEMFD_POPULATE, &populate));
}

int64_t gmem_populate(int fd, uint64_t offset, const void *from, uint64_t size)
{
	struct kvm_gmem_populate populate = {
		.offset = offset, .size = size, .from = (uintptr_t)from,
	};

	return in_bytes(gmem_ioctl(fd, KVM_GMEM_POPULATE, &populate));
}

int gmem_create_filler(int view)
{
	struct kvm_gmem_create_filler create = { 0 };

	return gmem_ioctl(view, KVM_GMEM_CREATE_FILLER, &create);
}

int gmem_present(int fd, uint64_t *offset, uint64_t *size,
		 struct kvm_gmem_present_range *ranges, uint32_t max)
{
	struct kvm_gmem_present present = {
		.offset = *offset, .size = *size,
		.ranges = (uintptr_t)ranges, .nr = max,
	};
	int ret;

	/* The kernel refuses an empty range: everything has been looked at. */
	if (!*size)
		return 0;
	if (max > INT32_MAX)
		return -EINVAL;
	ret = gmem_ioctl(fd, KVM_GMEM_PRESENT, &present);
	if (ret)
		return ret;
	*offset = present.offset;
	*size = present.size;
	return present.nr;
}
