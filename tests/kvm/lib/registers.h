/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The register file of a guest over an instruction that leaves it.
 */
#ifndef GMEM_TESTS_REGISTERS_H
#define GMEM_TESTS_REGISTERS_H

#include <stdint.h>

#include "kvm_util.h"

/*
 * Guest: loads all general registers but the stack's and those that an IN
 * needs, and SSE's, with numbers that follow from @seed; spins for @spin
 * rounds; reads @port; and compares. Returns what was read; a register that has
 * changed fails the guest. (No AVX: the lab's processor does not nest it.)
 */
uint32_t registers_over_in(uint16_t port, uint64_t seed, uint64_t spin);

#endif /* GMEM_TESTS_REGISTERS_H */
