/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM's own accesses to pages that a pager owes: a guest that has KVM make one,
 * which waits in KVM_RUN.
 */
#ifndef GMEM_TESTS_OWN_H
#define GMEM_TESTS_OWN_H

#include "paging.h"
#include "private.h"

#define OWN_DEVICE	(1ULL << 34)	/* an address with no memory: MMIO */
#define OWN_TABLES	(1ULL << 35)	/* of a plain slot for a page table */
#define OWN_TOP_ENTRY	200		/* of the guest's top-level table */
#define OWN_TREE	((volatile uint64_t *)((uint64_t)OWN_TOP_ENTRY << 39))
#define OWN_PTE		7		/* present, writable, user */
#define OWN_ACCESSED	(1 << 5)

/**
 * struct own - see above
 * @m: the machine, all of whose pages are owed
 * @p: it and what is at its userspace_addr, where nothing is to be written
 * @pager: by this one
 * @other: another vCPU of its VM, which counts
 * @counted: how far
 * @tables: there is a slot at OWN_TABLES
 * @thread: is in KVM_RUN, or was
 * @err: its errno
 * @done: it has returned
 */
struct own {
	struct machine *m;
	struct private p;
	int pager;
	struct kvm_vcpu *other;
	uint64_t counted;
	bool tables;
	pthread_t thread;
	int err;
	volatile bool done;
};

void own_create(struct own *o);

/* One KVM_RUN in a thread: of @fn(a, b), or on from where the guest is. */
void own_start(struct own *o, void *fn, uint64_t a, uint64_t b);
void own_resume(struct own *o);

/* KVM has asked the pager for @page for itself. */
void own_expect_event(struct own *o, uint64_t page);

/* Memslots of its VM are updated and another vCPU of it runs, while it waits. */
void own_expect_others_go_on(struct own *o);

/* KVM_RUN has returned 0, with exit reason @reason. */
void own_end(struct own *o, uint32_t reason);

/* So that the guest returned: with this. */
uint64_t own_result(struct own *o);

/* Guest code for own_start(), each by an emulated instruction. */
void guest_own_read(uint64_t page);
void guest_own_write(uint64_t page, uint64_t value);
void guest_own_exchange(uint64_t page, uint64_t old);	/* for its complement; old value */
void guest_own_read_tree(void);				/* the vector, or the value */

/* Adds or replaces memory for a page table at OWN_TABLES, one entry in it. */
uint64_t *own_tables(struct own *o, uint64_t entry);
/* Has the guest's top-level table point to a table at @gpa for OWN_TREE. */
void own_plant(struct own *o, uint64_t gpa);
/* The pager's answer for @page: a table with one entry. */
void own_copy_table(struct own *o, uint64_t page, uint64_t entry);

#endif /* GMEM_TESTS_OWN_H */
