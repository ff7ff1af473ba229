/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The order in which pages leave an encrypted guest, from the kernel's traces, in a trace instance
 * of the claim's own.
 */
#ifndef GMEM_TESTS_SEV_SEQUENCE_H
#define GMEM_TESTS_SEV_SEQUENCE_H

#include <stdint.h>

/* Begins to record, @frame among what is freed; once a process. Skips without kprobes. */
void sequence_start(uint64_t frame);

/*
 * The events since then, one word for each; events that happen twice at a time count once:
 *
 *   zap	a VM's stage-2 tables lost pages of an inode
 *   flush	KVM flushed all caches
 *   end	an inode's pages may be mapped again
 *   freed	the allocator got the frame
 */
const char *sequence(void);

#endif /* GMEM_TESTS_SEV_SEQUENCE_H */
