/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page frames that the kernel is told to do without.
 */
#ifndef GMEM_TESTS_OFFLINE_H
#define GMEM_TESTS_OFFLINE_H

#include <stdint.h>

/* Skips where no memory block can go offline. */
void require_offline(void);

/*
 * The memory block with this frame is to go offline; the kernel tries for some seconds,
 * and does not succeed.
 */
void expect_stays_online(uint64_t pfn);

/* As the correctable-error collector and firmware retire a frame: 0 or errno. */
int soft_offline_frame(uint64_t pfn);

#endif /* GMEM_TESTS_OFFLINE_H */
