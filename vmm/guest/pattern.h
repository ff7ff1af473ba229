/* SPDX-License-Identifier: MIT */
/* The content of the guest's private memory, for the guest and for programs that make images. */
#ifndef GUEST_PATTERN_H
#define GUEST_PATTERN_H

#include <stdint.h>

/*
 * struct guest_header - at the start of private memory; the pattern begins
 *	behind it
 * @seed: of the pattern
 * @not_seed: its complement
 * @count: how far the guest has counted
 * @answered: the last request that was done
 */
struct guest_header {
	uint64_t seed;
	uint64_t not_seed;
	uint64_t count;
	uint64_t answered;
};

/* splitmix64's finaliser: each bit of the input changes half of the output. */
static inline uint64_t pattern_mix(uint64_t word)
{
	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9UL;
	word = (word ^ (word >> 27)) * 0x94d049bb133111ebUL;
	return word ^ (word >> 31);
}

/* The word at a guest address. */
static inline uint64_t pattern_word(uint64_t address, uint64_t seed)
{
	return pattern_mix(address + seed);
}

#endif /* GUEST_PATTERN_H */
