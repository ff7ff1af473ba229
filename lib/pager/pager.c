// SPDX-License-Identifier: MIT
/* The pager: the calls of a process that serves an inode's missing pages. */
#include <errno.h>
#include <unistd.h>

#include <gmem.h>

#include "kvm/ioctl.h"

int gmem_pager_create(int view, uint64_t offset, uint64_t size, uint64_t flags)
{
	struct kvm_gmem_create_pager create = {
		.flags = flags, .offset = offset, .size = size,
	};

	return gmem_ioctl(view, KVM_GMEM_CREATE_PAGER, &create);
}

int gmem_pager_takeover(int view, uint64_t flags)
{
	return gmem_pager_create(view, 0, 0, flags | KVM_GMEM_PAGER_TAKEOVER);
}

int gmem_pager_read(int pager, struct kvm_gmem_event *events, uint32_t max)
{
	ssize_t got = read(pager, events, max * sizeof(*events));

	if (got < 0)
		return -errno;
	/* A pager never returns this, but another file may, if the caller was given one. */
	if (!got || got % sizeof(*events))
		return -EPROTO;
	return got / sizeof(*events);
}

int gmem_pager_answer(int pager, struct kvm_gmem_answer *answers, uint32_t nr)
{
	struct kvm_gmem_pager_answer answer = {
		.answers = (uintptr_t)answers, .nr = nr,
	};

	return gmem_ioctl(pager, KVM_GMEM_PAGER_ANSWER, &answer);
}

int gmem_pager_detach(int pager, int force, uint64_t *missing)
{
	struct kvm_gmem_pager_detach detach = {
		.flags = force ? KVM_GMEM_DETACH_FORCE : 0,
	};
	int ret = gmem_ioctl(pager, KVM_GMEM_PAGER_DETACH, &detach);

	if (missing)
		*missing = detach.missing;
	return ret;
}
