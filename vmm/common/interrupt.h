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
 * From here to interrupt_end() such a signal, which is blocked, ends the process, whatever
 * its threads wait for: the kernel kills them. So nothing may be going on that must be
 * brought to an end. 0 or -errno.
 */
int interrupt_begin(struct interrupt *interrupt);

/* What comes from now on stays pending. */
void interrupt_end(struct interrupt *interrupt);

#endif /* VMM_COMMON_INTERRUPT_H */
