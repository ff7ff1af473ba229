/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine with other memory behind its private pages: at userspace_addr,
 * where KVM finds what is shared, each byte is BEHIND until KVM writes there.
 */
#ifndef GMEM_TESTS_PRIVATE_H
#define GMEM_TESTS_PRIVATE_H

#include "machine.h"

#define BEHIND	0x77

/**
 * struct private - see above
 * @m: the machine
 * @behind: the memory at its userspace_addr
 */
struct private {
	struct machine *m;
	uint8_t *behind;
};

/* In a software-protected VM, all private; in a VM of @type, on an inode with @flags. */
struct private private_create(uint64_t npages);
struct private behind_create(uint32_t type, uint64_t npages, uint64_t flags);

/* How many bytes behind pages [first, first + n) were written. */
uint64_t written_behind(struct private *p, uint64_t first, uint64_t n);

static inline void *page_gva(uint64_t page)
{
	return (void *)(MACHINE_GVA + page * PAGE_SIZE);
}

static inline uint64_t page_gpa(uint64_t page)
{
	return MACHINE_GPA + page * PAGE_SIZE;
}

/* Lets instructions be emulated by a prefix, KVM_FEP. */
void allow_forced_emulation(void);

/* Makes KVM update the guest's kvmclock before it runs again. */
void touch_clock(struct machine *m);

#endif /* GMEM_TESTS_PRIVATE_H */
