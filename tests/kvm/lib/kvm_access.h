/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM's own accesses to pages that a pager owes: a guest that has KVM make one,
 * which waits in KVM_RUN.
 */
#ifndef GMEM_TESTS_KVM_ACCESS_H
#define GMEM_TESTS_KVM_ACCESS_H

#include "paging.h"
#include "private.h"

#define ACCESS_DEVICE	(1ULL << 34)	/* an address with no memory: MMIO */
#define ACCESS_TABLES	(1ULL << 35)	/* of a plain slot for a page table */
#define ACCESS_TOP_ENTRY	200		/* of the guest's top-level table */
#define ACCESS_TREE	((volatile uint64_t *)((uint64_t)ACCESS_TOP_ENTRY << 39))
#define ACCESS_PTE		7		/* present, writable, user */
#define ACCESS_PTE_USED	(1 << 5)

/**
 * struct kvm_access - see above
 * @m: the machine, all of whose pages are owed
 * @p: it and what is at its userspace_addr, where nothing is to be written
 * @pager: by this one
 * @other: another vCPU of its VM, which counts
 * @counted: how far
 * @tables: there is a slot at ACCESS_TABLES
 * @thread: is in KVM_RUN, or was
 * @err: its errno
 * @done: it has returned
 */
struct kvm_access {
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

void kvm_access_create(struct kvm_access *o);

/* One KVM_RUN in a thread: of @fn(a, b), or on from where the guest is. */
void kvm_access_start(struct kvm_access *o, void *fn, uint64_t a, uint64_t b);
void kvm_access_resume(struct kvm_access *o);

/* The page of @view, which was there, goes and is owed: by @o->pager, another pager then. */
void kvm_access_owe_anew(struct kvm_access *o, int view, uint64_t page);

/* KVM has asked the pager for @page for itself. */
void kvm_access_expect_event(struct kvm_access *o, uint64_t page);

/* From the begin up to where @fn has KVM wait for @page; memslots are updated there. */
void kvm_access_begin(struct kvm_access *o, void *fn, uint64_t page, uint64_t b);

/*
 * The same of an instruction that reads a device, which says @value, into @page. The device is
 * asked once: an instruction that began again would ask it twice.
 */
void kvm_access_device_read(struct kvm_access *o, uint64_t page, uint64_t value);

/* Memslots of its VM are updated and another vCPU of it runs, while it waits. */
void kvm_access_expect_others_go_on(struct kvm_access *o);

/* KVM_RUN has returned 0, with exit reason @reason. */
void kvm_access_end(struct kvm_access *o, uint32_t reason);

/* So that the guest returned: with this. */
uint64_t kvm_access_result(struct kvm_access *o);

/* Word @i of a page: of the content that the pager answers with; as the guest finds it. */
uint64_t kvm_access_word(uint64_t page, uint64_t i);
uint64_t kvm_access_found(struct kvm_access *o, uint64_t page, uint64_t i);

/* Guest code for kvm_access_start(), each by an emulated instruction. */
void guest_kvm_read(uint64_t page);
void guest_kvm_write(uint64_t page, uint64_t value);
void guest_kvm_exchange(uint64_t page, uint64_t old);	/* for its complement; old value */
void guest_kvm_read_tree(void);				/* the vector, or the value */
/* What KVM maps for VMSAVE: the vector; what it shares with the guest, by an MSR. */
void guest_kvm_map(uint64_t page);
void guest_kvm_share(uint64_t page, uint64_t msr);

void guest_kvm_word(uint64_t page, uint64_t i);		/* not by KVM: the word */

/* Adds or replaces memory for a page table at ACCESS_TABLES, one entry in it. */
uint64_t *kvm_access_tables(struct kvm_access *o, uint64_t entry);
/* Has the guest's top-level table point to a table at @gpa for ACCESS_TREE. */
void kvm_access_plant(struct kvm_access *o, uint64_t gpa);
/* The pager's answer for @page: a table with one entry. */
void kvm_access_copy_table(struct kvm_access *o, uint64_t page, uint64_t entry);

#endif /* GMEM_TESTS_KVM_ACCESS_H */
