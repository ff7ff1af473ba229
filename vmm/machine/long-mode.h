/* SPDX-License-Identifier: MIT */
/* The first vCPU begins in 64-bit or in 32-bit mode, with flat segments. */
#ifndef VMM_MACHINE_LONG_MODE_H
#define VMM_MACHINE_LONG_MODE_H

#include "machine/machine.h"

/*
 * struct long_mode - where the vCPU begins, and what differs between guests
 * @code: selector of its code segment
 * @data: selector of its data segments
 * @cr0: includes paging
 * @cr3: of its page tables
 * @cr4: includes PAE
 * @regs: general registers; RFLAGS is set here
 */
struct long_mode {
	uint16_t code;
	uint16_t data;
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	struct kvm_regs regs;
};

/* Returns 0 or -errno. */
int machine_set_long_mode(struct machine *machine, const struct long_mode *mode);

/*
 * struct protected_mode - the same in 32-bit mode
 * @cr0: without paging
 * @regs: as above
 */
struct protected_mode {
	uint64_t cr0;
	struct kvm_regs regs;
};

/* Returns 0 or -errno. */
int machine_set_protected_mode(struct machine *machine, const struct protected_mode *mode);

#endif /* VMM_MACHINE_LONG_MODE_H */
