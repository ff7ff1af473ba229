/* SPDX-License-Identifier: MIT */
/*
 * Signals that end the process, while it may wait for ever in a system call that no
 * signal but SIGKILL ends: KVM's own access to memory that a page server owes.
 */
#ifndef VMM_COMMON_INTERRUPT_H
#define VMM_COMMON_INTERRUPT_H

#include <pthread.h>

/*
 * struct interrupt - a thread that waits for these signals
 * @signals: a signalfd
 * @stop_fd: an eventfd, written to end the thread
 */
struct interrupt {
	pthread_t thread;
	int signals;
	int stop_fd;
};

/*
 * From here to interrupt_end() such a signal, which is blocked, ends the process: the kernel kills
 * its threads, whatever they wait for. So no work may be under way that must be completed. Returns
 * 0 or -errno.
 */
int interrupt_begin(struct interrupt *interrupt);

/* Signals that come from now on stay pending. */
void interrupt_end(struct interrupt *interrupt);

#endif /* VMM_COMMON_INTERRUPT_H */
