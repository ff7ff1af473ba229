/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that sleep in the kernel. One that has asked for something is not asleep yet: on a
 * busy machine that may take as long as one likes, so no fixed time will do. What the kernel
 * tells of the thread does.
 */
#ifndef GMEM_TESTS_ASLEEP_H
#define GMEM_TESTS_ASLEEP_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

/* Where threads sleep: functions of the kernel that a test may name below. */
#define IN_PAGER_WAIT	"gmem_wait_sleep"	/* for a page that a pager owes */
#define IN_PAGER_READ	"gmem_pager_read"	/* for an event, as a pager */
#define IN_HALT		"kvm_vcpu_block"	/* in a guest's HLT */
#define IN_POLL		"__x64_sys_poll"
#define IN_USERFAULT	"handle_userfault"
#define IN_POPULATE	"gmem_fill_run"		/* for content or a lock: no stack has locks */

/* The id of a thread of this process, which has not ended. */
pid_t thread_id(pthread_t thread);

/* Does thread @tid, of any process, sleep in @function or what that calls, off its CPU? */
bool is_asleep(pid_t tid, const char *function);

/* Waits, long, until it does. Fails if the thread ends, or does something else for good. */
void wait_asleep(pid_t tid, const char *function);

/*
 * How often thread @tid of this process has gone to sleep by itself. One that sleeps on, and was
 * not woken meanwhile, has the same number as before.
 */
unsigned long times_slept(pid_t tid);

#endif /* GMEM_TESTS_ASLEEP_H */
