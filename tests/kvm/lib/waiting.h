/* SPDX-License-Identifier: GPL-2.0-only */
/* Somebody who waits for a pager, in any of the ways that there are. */
#ifndef GMEM_TESTS_WAITING_H
#define GMEM_TESTS_WAITING_H

#include <pthread.h>

#include "kvm_access.h"
#include "paging.h"
#include "runner.h"

#define WAITING_PAGE	3	/* for this page; of WAITING_HELD, KVM uses the next one too */

/* As enum gmem_wait_kind in kmod/gmem/pager/wait.h, and in its order. */
enum waiting_kind {
	WAITING_GUEST,	/* a vCPU, whose guest reads */
	WAITING_ASYNC,	/* a guest's task, while another one runs */
	WAITING_OWN,	/* an instruction that KVM emulates */
	WAITING_HELD,	/* an ioctl that has kvm->srcu */
	WAITING_IOCTL,	/* one that has yet to begin */
	WAITING_HOST,	/* a thread that reads what it has mapped */
	WAITING_KINDS,
};

extern const char * const waiting_names[WAITING_KINDS];

/**
 * struct waiting - see above
 * @kind: how it waits
 * @m: the machine
 * @pager: of all its pages, or of WAITING_PAGE; has read the event
 * @o: of some kinds
 * @r: of WAITING_ASYNC: runs the guest
 * @thread: waits, but for WAITING_ASYNC
 * @done: it does not any more
 * @result: what it got: of an ioctl, 0 or errno; of a host's access, 0 or si_code; -1: it did not
 *	    return
 * @signal: of WAITING_HOST: the signal whose handler ran instead
 * @value: of WAITING_HOST: what it has read
 * @stopped: of WAITING_ASYNC: the guest was stopped; its wait ends when nobody waits any more
 * @sregs: of WAITING_IOCTL
 */
struct waiting {
	enum waiting_kind kind;
	struct machine *m;
	int pager;
	struct kvm_access o;
	struct runner r;
	pthread_t thread;
	volatile bool done;
	volatile int result;
	volatile int signal;
	volatile uint64_t value;
	bool stopped;
	struct kvm_sregs sregs;
};

/* A machine, and somebody who waits there; @flags: of the pager. */
void waiting_begin(struct waiting *w, enum waiting_kind kind, uint64_t flags);
void waiting_expect_event(struct waiting *w);
bool waiting_has_ended(struct waiting *w);
/*
 * What a wait that has ended came to, in a word. "zeroes", "behind": the access found that, the
 * latter being the memory at userspace_addr; "done": so did an ioctl's; "MMIO": it was made a
 * device's; "fault EFAULT", "fault EHWPOISON": KVM_EXIT_MEMORY_FAULT; "EINTR" or another errno;
 * "SIGBUS", "SIGSEGV"; "handler": that of another signal ran.
 */
const char *waiting_got(struct waiting *w);
/*
 * How often it has gone to sleep: the same number as before if nobody has woken it meanwhile. Of a
 * guest's task: how often the guest was told that a page is there.
 */
unsigned long waiting_looks(struct waiting *w);
/* A signal, to the thread that waits or runs the guest. */
void waiting_signal(struct waiting *w);
/* What the pager's fdinfo tells of waits of this kind; -1: it does not. */
int waiting_count(struct waiting *w);

#endif /* GMEM_TESTS_WAITING_H */
