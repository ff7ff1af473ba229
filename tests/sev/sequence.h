/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In which order pages leave an encrypted guest, as the kernel traces it, in a trace instance
 * of the claim's own.
 */
#ifndef GMEM_TESTS_SEV_SEQUENCE_H
#define GMEM_TESTS_SEV_SEQUENCE_H

#include <stdint.h>

/* Begins to record, @frame among what is freed; once a process. Skips without kprobes. */
void sequence_start(uint64_t frame);

/*
 * What happened since, a word each time, but what happens twice at a time once:
 *
 *   zap	a VM's stage-2 tables lost pages of an inode
 *   flush	KVM flushed all caches
 *   end	an inode's pages may be mapped again
 *   freed	the allocator got the frame
 */
const char *sequence(void);

#endif /* GMEM_TESTS_SEV_SEQUENCE_H */
