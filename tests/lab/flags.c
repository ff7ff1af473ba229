// SPDX-License-Identifier: MIT
/*
 * Flags that the emulator must not lose: it keeps them as an operation and its operands, and
 * computes them on demand. An instruction that changes some of the flags leaves the others as they
 * are, and sets no bit of RFLAGS that is not a flag: each comes here after a POPF, by which the
 * flags are kept as they are, and a comparison, whose operand looks like flags. An instruction that
 * reads flags and whose access faults finds the same flags when it is tried again.
 * tests/lab/emulator runs this in the lab. Prints KTAP.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum { CF = 1, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, OF = 0x800 };
enum { ALL = CF | PF | AF | ZF | SF | OF };

/* None has TF set (0x100), which would end the program if it got into RFLAGS. */
static const uint64_t operands[] = {
	0, 1, 0x040470a0, 0x12345678, 0x80000000, 0xfffffeff, 0x8000000000000000, 0xfffffffffffffeff
};

/* The memory that CMPXCHG16B, or CMPXCHG8B, finds: RDX:RAX, or something else. */
struct memory {
	uint64_t low, high;
} __attribute__((aligned(16)));

static const struct memory found16 = { 5, 6 }, found8 = { 6ull << 32 | 5, 6 }, other = { 1, 2 };

#define AFTER(name, instruction)							\
static void name(uint64_t operand, struct memory *memory, uint64_t *flags)		\
{											\
	register uint64_t zero asm("r8") = 0;						\
	uint64_t rax = 5, rdx = 6;							\
											\
	asm volatile("pushq $0x202\n\t"							\
		     "popfq\n\t"							\
		     "cmpq %[operand], %[zero]\n\t"					\
		     instruction "\n\t"							\
		     "pushfq\n\t"							\
		     "popq %[flags]"							\
		     : [flags] "=&r"(*flags), "+a"(rax), "+d"(rdx), "+m"(*memory)	\
		     : [operand] "r"(operand), [zero] "r"(zero), "b"(7ul), "c"(8ul),	\
		       [memory] "S"(memory)						\
		     : "r9", "cc");							\
}

AFTER(cmpxchg16b, "cmpxchg16b (%[memory])")
AFTER(lock_cmpxchg16b, "lock cmpxchg16b (%[memory])")
AFTER(cmpxchg8b, "cmpxchg8b (%[memory])")
AFTER(lock_cmpxchg8b, "lock cmpxchg8b (%[memory])")
AFTER(verr, "movl %%cs, %%r9d\n\tverr %%r9w")
AFTER(verw, "movl %%cs, %%r9d\n\tverw %%r9w")
AFTER(lar, "movl %%cs, %%r9d\n\tlarl %%r9d, %%r9d")
AFTER(lsl, "movl %%cs, %%r9d\n\tlsll %%r9d, %%r9d")
AFTER(rcl, "rclq $1, %%r9")
AFTER(rcr, "rcrq $1, %%r9")
AFTER(inc, "incq %%r9")
AFTER(dec, "decq %%r9")
AFTER(fcomi, "fldz\n\tfld1\n\tfcomip %%st(1), %%st\n\tfstp %%st(0)")
AFTER(sahf, "sahf")
AFTER(adcx, "adcxq %%r8, %%r9")
AFTER(adox, "adoxq %%r8, %%r9")

static const struct {
	const char *name;
	void (*run)(uint64_t operand, struct memory *memory, uint64_t *flags);
	uint64_t changes;
} instructions[] = {
	{ "CMPXCHG16B", cmpxchg16b, ZF },
	{ "LOCK CMPXCHG16B", lock_cmpxchg16b, ZF },
	{ "CMPXCHG8B", cmpxchg8b, ZF },
	{ "LOCK CMPXCHG8B", lock_cmpxchg8b, ZF },
	{ "VERR", verr, ZF },
	{ "VERW", verw, ZF },
	{ "LAR", lar, ZF },
	{ "LSL", lsl, ZF },
	{ "RCL", rcl, CF | OF },
	{ "RCR", rcr, CF | OF },
	{ "INC", inc, ALL & ~CF },
	{ "DEC", dec, ALL & ~CF },
	{ "FCOMI", fcomi, ALL },
	{ "SAHF", sahf, ALL & ~OF },
	{ "ADCX", adcx, CF },
	{ "ADOX", adox, OF },
};

#define ON_BYTE(name, instruction)							\
static void name(uint64_t operand, uint64_t other, uint8_t *byte, uint64_t *flags)	\
{											\
	asm volatile("pushq $0x202\n\t"							\
		     "popfq\n\t"							\
		     "addq %[operand], %[other]\n\t"					\
		     instruction " (%[byte])\n\t"					\
		     "pushfq\n\t"							\
		     "popq %[flags]"							\
		     : [flags] "=&r"(*flags), [other] "+r"(other)			\
		     : [operand] "r"(operand), [byte] "r"(byte)				\
		     : "memory", "cc");							\
}

ON_BYTE(seto, "seto")
ON_BYTE(setb, "setb")
ON_BYTE(sete, "sete")
ON_BYTE(setbe, "setbe")
ON_BYTE(sets, "sets")
ON_BYTE(setp, "setp")
ON_BYTE(setl, "setl")
ON_BYTE(setg, "setg")
ON_BYTE(rcl_byte, "rclb")
ON_BYTE(rcr_byte, "rcrb")

static const struct {
	const char *name;
	void (*run)(uint64_t operand, uint64_t other, uint8_t *byte, uint64_t *flags);
} accesses[] = {
	{ "SETO", seto },
	{ "SETB", setb },
	{ "SETE", sete },
	{ "SETBE", setbe },
	{ "SETS", sets },
	{ "SETP", setp },
	{ "SETL", setl },
	{ "SETG", setg },
	{ "RCL", rcl_byte },
	{ "RCR", rcr_byte },
};

/* Computed by the instruction set's definition of a subtraction. */
static uint64_t flags_of_negation(uint64_t operand)
{
	uint64_t result = -operand, flags = 0x202;

	flags |= operand ? CF : ZF;
	flags |= __builtin_parityll(result & 0xff) ? 0 : PF;
	flags |= operand & 0xf ? AF : 0;
	flags |= result >> 63 ? SF : 0;
	flags |= operand & result & 1ull << 63 ? OF : 0;
	return flags;
}

/* Does INSTRUCTION leave the right flags after the comparison, whatever it finds in memory? */
static bool keeps(size_t instruction)
{
	const struct memory *found[] = { &found16, &found8, &other };
	bool right = true;

	for (size_t i = 0; i < ARRAY_SIZE(operands); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(found); j++) {
			struct memory memory = *found[j];
			uint64_t wanted = flags_of_negation(operands[i]), got;

			instructions[instruction].run(operands[i], &memory, &got);
			if ((got ^ wanted) & ~instructions[instruction].changes) {
				printf("# after a comparison with %#" PRIx64 ": ", operands[i]);
				printf("%#" PRIx64 ", not %#" PRIx64 "\n", got, wanted);
				right = false;
			}
		}
	}
	return right;
}

/* Does ACCESS do the same to a page that is not there yet as to one that is? */
static bool faults_well(size_t access)
{
	bool right = true;

	for (size_t i = 0; i < ARRAY_SIZE(operands) * ARRAY_SIZE(operands); i++) {
		uint64_t operand = operands[i / ARRAY_SIZE(operands)];
		uint64_t other = operands[i % ARRAY_SIZE(operands)];
		uint64_t got, wanted;
		uint8_t *byte, found;

		byte = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (byte == MAP_FAILED)
			abort();
		accesses[access].run(operand, other, byte, &got);
		found = *byte;
		*byte = 0;
		accesses[access].run(operand, other, byte, &wanted);
		if (got != wanted || found != *byte) {
			printf("# after %#" PRIx64 " + %#" PRIx64 ": ", operand, other);
			printf("%u with %#" PRIx64 ", not ", found, got);
			printf("%u with %#" PRIx64 "\n", *byte, wanted);
			right = false;
		}
		munmap(byte, 4096);
	}
	return right;
}

static bool claim(const char *name, const char *what, bool holds)
{
	static unsigned int number;

	number++;
	printf("%s %u - %s %s\n", holds ? "ok" : "not ok", number, name, what);
	return holds;
}

int main(void)
{
	bool all = true;

	printf("KTAP version 1\n1..%zu\n", ARRAY_SIZE(instructions) + ARRAY_SIZE(accesses));
	for (size_t i = 0; i < ARRAY_SIZE(instructions); i++)
		all &= claim(instructions[i].name, "changes no other flags than its own", keeps(i));
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++)
		all &= claim(accesses[i].name, "finds its flags after a fault", faults_well(i));
	return !all;
}
