/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine: a software-protected VM with one vCPU and one view of a guest
 * memory inode bound as its private memory, and calls into its guest.
 *
 * The guest is this very program: machine_call() runs one of its functions
 * inside the VM. Page numbers count from the machine's first private page.
 */
#ifndef GMEM_TESTS_MACHINE_H
#define GMEM_TESTS_MACHINE_H

#include <linux/kvm_gmem.h>

#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"

#define MACHINE_SLOT	10
#define MACHINE_GPA	(1ULL << 32)	/* of the first private page */
#define MACHINE_GVA	MACHINE_GPA

/**
 * struct machine - see above
 * @vm: the VM
 * @vcpu: its vCPU
 * @view: fd of its view, -1 when closed
 * @host: where the host has the memory mapped, NULL where it has not: see mapped.h
 * @npages: private pages
 * @entry: the vCPU's registers before its first call
 * @said: the guest's last ucall; none when it returned
 */
struct machine {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	int view;
	uint64_t *host;
	uint64_t npages;
	struct kvm_regs entry;
	struct ucall said;
};

/*
 * A machine on a new inode; one on the inode behind another VM's view; one with
 * none yet; one with none, of a VM of any type, which has no private gfns.
 */
struct machine *machine_create(uint64_t npages);
struct machine *machine_link(int view, uint64_t npages);
struct machine *machine_bare(uint64_t npages);
struct machine *machine_of_type(uint32_t type, uint64_t npages);
void machine_free(struct machine *m);

/* Binds @m->view from page @pgoff on, or unbinds it; __ returns 0 or -1 with errno. */
void machine_bind(struct machine *m, uint64_t pgoff);
int __machine_bind(struct machine *m, uint64_t pgoff);
void machine_unbind(struct machine *m);
void machine_close_view(struct machine *m);

/* A software-protected VM that never runs. */
struct kvm_vm *idle_vm(void);

/* KVM_LINK_GUEST_MEMFD: the new fd, or -1 with errno. */
int __link_view(struct kvm_vm *vm, uint64_t fd);
int link_view(struct kvm_vm *vm, int fd);
bool can_link(void);
void require_link(void);

/*
 * Runs @fn(a, b, c) in the guest. machine_try() returns 0 when the guest said
 * something, and errno when KVM_RUN fails; machine_call() demands that @fn is
 * done, and returns what it gave to GUEST_RETURN(). machine_prepare() is
 * all of machine_try() but KVM_RUN.
 */
void machine_prepare(struct machine *m, void *fn, uint64_t a, uint64_t b, uint64_t c);
int machine_try(struct machine *m, void *fn, uint64_t a, uint64_t b, uint64_t c);
uint64_t machine_call(struct machine *m, void *fn, uint64_t a, uint64_t b, uint64_t c);
/*
 * machine_call() while pages are converted: a fault that this comes in between of
 * leaves with a memory fault, and is tried again.
 */
uint64_t machine_call_on(struct machine *m, void *fn, uint64_t a, uint64_t b, uint64_t c);
#define GUEST_RETURN(value)							\
do {										\
	guest_result = (value);							\
	GUEST_UCALL_NONE();							\
} while (0)
extern volatile uint64_t guest_result;	/* of each guest its own */

/*
 * What the guest does to its pages. A pattern fills the page and differs in
 * every word of every page; pattern 0 is all zeroes. The try forms take one page
 * and return 0 or KVM_RUN's errno.
 */
void guest_write(struct machine *m, uint64_t first, uint64_t n, uint64_t pattern);
void guest_expect(struct machine *m, uint64_t first, uint64_t n, uint64_t pattern);
void guest_touch(struct machine *m, uint64_t first, uint64_t n);
int guest_try_touch(struct machine *m, uint64_t page);
int guest_try_write(struct machine *m, uint64_t page, uint64_t pattern);
int guest_try_expect(struct machine *m, uint64_t page, uint64_t pattern);

static inline uint64_t pattern_word(uint64_t pattern, uint64_t page, uint64_t word)
{
	return pattern ? (pattern << 48) ^ (page << 16) ^ word ^ 0x5a5a000000000000 : 0;
}

/* The guest's touch of @page leaves with KVM_EXIT_MEMORY_FAULT and @err. */
void expect_memory_fault(struct machine *m, uint64_t page, int err);

/* fallocate of pages. */
void punch_pages(int view, uint64_t first, uint64_t n);
void allocate_pages(int view, uint64_t first, uint64_t n);

#define TEST_ERRNO(call, err)							\
do {										\
	long __ret;								\
										\
	errno = 0;								\
	__ret = (long)(call);							\
	TEST_ASSERT(__ret == -1 && errno == (err),				\
		    "%s: returned %ld with errno %d (%s), not -1 with " #err,	\
		    #call, __ret, errno, strerror(errno));			\
} while (0)

#endif /* GMEM_TESTS_MACHINE_H */
