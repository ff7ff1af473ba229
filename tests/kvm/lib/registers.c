// SPDX-License-Identifier: GPL-2.0-only
/*
 * The register file of a guest: see registers.h.
 */
#include "processor.h"
#include "registers.h"
#include "ucall_common.h"

/* At these offsets the assembly below finds them. */
struct register_file {
	uint64_t gpr[10];
	uint8_t xmm[16][16];
	uint64_t spin;
};

_Static_assert(offsetof(struct register_file, xmm) == 80, "see the assembly");
_Static_assert(offsetof(struct register_file, spin) == 336, "see the assembly");

static struct register_file loaded, stored;	/* of each guest its own */

static uint32_t in(uint16_t port)
{
	uint64_t rdx = port;
	uint32_t eax;

	asm volatile("push %%rbp\n\t"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
		"movdqu 80+16*\\n(%%rdi), %%xmm\\n\n\t"
		".endr\n\t"
		"mov 336(%%rdi), %%rcx\n\t"
		"mov (%%rdi), %%rbx\n\t mov 16(%%rdi), %%r8\n\t mov 24(%%rdi), %%r9\n\t"
		"mov 32(%%rdi), %%r10\n\t mov 40(%%rdi), %%r11\n\t mov 48(%%rdi), %%r12\n\t"
		"mov 56(%%rdi), %%r13\n\t mov 64(%%rdi), %%r14\n\t mov 72(%%rdi), %%r15\n\t"
		"mov 72(%%rdi), %%rbp\n\t"
		"1: dec %%rcx\n\t jnz 1b\n\t"
		"mov 8(%%rdi), %%rcx\n\t"
		"in %%dx, %%eax\n\t"
		"sub 72(%%rdi), %%rbp\n\t add %%rbp, %%r15\n\t"
		"mov %%rbx, (%%rsi)\n\t mov %%rcx, 8(%%rsi)\n\t mov %%r8, 16(%%rsi)\n\t"
		"mov %%r9, 24(%%rsi)\n\t mov %%r10, 32(%%rsi)\n\t mov %%r11, 40(%%rsi)\n\t"
		"mov %%r12, 48(%%rsi)\n\t mov %%r13, 56(%%rsi)\n\t mov %%r14, 64(%%rsi)\n\t"
		"mov %%r15, 72(%%rsi)\n\t"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
		"movdqu %%xmm\\n, 80+16*\\n(%%rsi)\n\t"
		".endr\n\t"
		"pop %%rbp\n\t"
		: "=a"(eax), "+d"(rdx)
		: "D"(&loaded), "S"(&stored)
		: "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
		  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
		  "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
		  "memory", "cc");
	return eax;
}

uint32_t registers_over_in(uint16_t port, uint64_t seed, uint64_t spin)
{
	uint64_t *words = (uint64_t *)&loaded;
	uint32_t value;

	for (unsigned int i = 0; i < offsetof(struct register_file, spin) / sizeof(*words); i++)
		words[i] = (seed + i + 1) * 0x9e3779b97f4a7c15;
	loaded.spin = spin;
	stored.spin = spin;

	value = in(port);
	for (unsigned int i = 0; i < sizeof(loaded) / sizeof(*words); i++)
		__GUEST_ASSERT(words[i] == ((uint64_t *)&stored)[i],
			       "word %u of the register file: %lx has become %lx", i, words[i],
			       ((uint64_t *)&stored)[i]);
	return value;
}
