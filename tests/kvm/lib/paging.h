/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests of the pager share. */
#ifndef GMEM_TESTS_PAGING_H
#define GMEM_TESTS_PAGING_H

#include <linux/kvm_gmem.h>
#include <pthread.h>

#include "asleep.h"
#include "machine.h"

/* Of the machines, and so at most of an answer made here. */
#define PAGING_PAGES	64

/* Skips where these modules have no pager. */
void require_pager(void);

/* KVM_GMEM_CREATE_PAGER for @n pages from @first on: an fd, or -1 with errno. */
int __pager(int view, uint64_t first, uint64_t n, uint64_t flags);

/* A pager for all of a machine. */
int pager_of(struct machine *m);

/* Is there an event, now or within @ms milliseconds? */
bool has_event(int pager, int ms);

struct kvm_gmem_event next_event(int pager);
void expect_event(int pager, uint32_t type, uint64_t page, uint64_t n);

/* One answer: 0, or the errno that it got. */
int answer(int pager, uint32_t op, uint64_t page, uint64_t n, const void *from);

/* What @pattern puts into pages from @page on, as guest_write() does. */
void *content(uint64_t pattern, uint64_t page, uint64_t n);

/* Answers with that. */
void copy(int pager, uint64_t pattern, uint64_t page, uint64_t n);

/**
 * struct touch - a guest that looks at a page, in a thread
 * @m: the machine
 * @page: which page
 * @pattern: what is expected there
 * @thread: runs it
 * @err: KVM_RUN's errno, 0 if all was as expected
 * @done: it has returned
 */
struct touch {
	struct machine *m;
	uint64_t page, pattern;
	pthread_t thread;
	int err;
	volatile bool done;
};

void touch_start(struct touch *touch);

/* Waits for it; @err is what its KVM_RUN is to have returned. */
void touch_end(struct touch *touch, int err);

/**
 * struct host_touch - the host looks at a page through a mapping, in a thread
 * @at: the page's first word
 * @found: what was there
 * @thread: looks
 * @done: it has found it
 */
struct host_touch {
	volatile uint64_t *at;
	uint64_t found;
	pthread_t thread;
	volatile bool done;
};

/* Maps PAGING_PAGES of @view and begins; what was found. */
void host_touch_start(struct host_touch *touch, int view, uint64_t page);
uint64_t host_touch_end(struct host_touch *touch);

/* KVM_GMEM_PAGER_DETACH; @missing: how many owed pages are. */
int detach(int pager, uint64_t flags, uint64_t *missing);

/* Guest code for machine_call(): returns the first word of @page. */
void guest_look(uint64_t page);

#endif /* GMEM_TESTS_PAGING_H */
