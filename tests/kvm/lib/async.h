/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine whose guest knows asynchronous page faults: it has a task for each
 * page, and looks after the others while one waits. It asserts that each "not
 * present" is followed by one "ready".
 */
#ifndef GMEM_TESTS_ASYNC_H
#define GMEM_TESTS_ASYNC_H

#include <linux/kvm_gmem.h>

#include "machine.h"
#include "runner.h"

/* Where KVM tells the guest of pages: GPA and GVA of a page in a slot of its own. */
#define ASYNC_AREA	(1ULL << 33)
#define ASYNC_SLOT	11

#define ASYNC_FLAGS	(KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_DELIVERY_AS_INT)

/* Of the guest: what it was told so far, by kind, and rounds of its scheduler. */
extern volatile uint64_t async_told, async_ready, async_woken, async_works;

/* Set by the host: it halts where no task can go on. */
extern volatile uint64_t async_halts;

#define ASYNC(m, name)	(*GUEST_VARIABLE((m)->vm, async_##name))

/*
 * A machine of a VM of @type: all its pages are in an inode. async_machine() has
 * made its guest enable asynchronous page faults, at any privilege level.
 */
struct machine *async_bare(uint32_t type, uint64_t npages);
struct machine *async_machine(uint32_t type, uint64_t npages);

/* Has the guest set MSR_KVM_ASYNC_PF_EN to the area and @flags, or to 0. */
void async_enable(struct machine *m, uint64_t flags);

/* Skips where these modules have no asynchronous waiting. */
void require_async(void);

/* Guest code: tasks for pages [first, first + n), each of which expects @pattern. */
void async_tasks(uint64_t first, uint64_t n, uint64_t pattern);

/* Guest code: the first word of @page, and returns 0; or the token to wait for. */
uint32_t async_look(uint64_t page, uint64_t *value);

/* Begins a call of @fn(a, b, c), as machine_call(), in a thread; and waits for its end. */
void async_start(struct machine *m, struct runner *r, void *fn, uint64_t a, uint64_t b,
		 uint64_t c);
uint64_t async_end(struct machine *m, struct runner *r);

/* That call leaves with KVM_EXIT_MEMORY_FAULT and @err. */
void async_fails(struct machine *m, struct runner *r, int err);

#endif /* GMEM_TESTS_ASYNC_H */
