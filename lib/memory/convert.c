// SPDX-License-Identifier: MIT
/* Makes pages of an inode private to the guest, or shared with the host, in place. */
#include <linux/kvm_gmem.h>

#include <gmem.h>

#include "kvm/ioctl.h"

int gmem_convert(int view, uint64_t offset, uint64_t size, int is_private)
{
	struct kvm_memory_attributes2 attributes = {
		.offset = offset, .size = size,
		.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return gmem_ioctl(view, KVM_SET_MEMORY_ATTRIBUTES2, &attributes);
}
