/* SPDX-License-Identifier: MIT */
/* The layout of the guest's memory, common to guest and VMM. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

/* Shared memory: code, stack, page tables and mailbox. */
#define GUEST_SHARED_GPA	0x0UL
#define GUEST_SHARED_SIZE	0x200000UL
#define GUEST_PML4		0x1000UL
#define GUEST_PDPT		0x2000UL
#define GUEST_PD_SHARED		0x3000UL
#define GUEST_PD_PRIVATE	0x4000UL
#define GUEST_MAILBOX		0x10000UL
#define GUEST_ENTRY		0x100000UL
#define GUEST_STACK		GUEST_SHARED_SIZE	/* grows down from here */

/* Private memory: a multiple of the page size of the guest's own tables. */
#define GUEST_PRIVATE_GPA	0x40000000UL
#define GUEST_PRIVATE_MAX	0x40000000UL
#define GUEST_PRIVATE_UNIT	0x200000UL

/* Ports: bytes for a person; the end of the guest, with a status. */
#define GUEST_PORT_CONSOLE	0x3f8
#define GUEST_PORT_END		0xf4

#ifndef __ASSEMBLER__
#include <stdint.h>

/*
 * struct guest_mailbox - messages between guest and VMM
 * @request: written by the VMM: when it changes, the guest checks all its
 *	memory
 * @count: written by the guest: how far it has counted, for the VMM to show.
 *	The real counter is in a register and in private memory.
 */
struct guest_mailbox {
	volatile uint32_t request;
	uint32_t unused;
	volatile uint64_t count;
};
#endif

#endif /* GUEST_LAYOUT_H */
