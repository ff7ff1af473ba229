/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM_GMEM_SEAL, and who writes to what it seals.
 */
#ifndef GMEM_TESTS_SEALING_H
#define GMEM_TESTS_SEALING_H

#include <linux/kvm_gmem.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "machine.h"

/* 0, or -1 with errno. */
static inline int __seal(int view, uint64_t seals)
{
	struct kvm_gmem_seals args = { .seals = seals };

	return ioctl(view, KVM_GMEM_SEAL, &args);
}

static inline void seal(int view, uint64_t seals)
{
	TEST_ASSERT(!__seal(view, seals), "KVM_GMEM_SEAL of %lx: errno %d", seals, errno);
}

static inline void require_seals(void)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_SEAL,
		       "these modules have no KVM_GMEM_SEAL");
}

/* What an inode has, in pages. */
static inline uint64_t resident(int view)
{
	struct stat st;

	TEST_ASSERT(!fstat(view, &st), "fstat");
	return st.st_blocks * 512 / PAGE_SIZE;
}

#endif /* GMEM_TESTS_SEALING_H */
