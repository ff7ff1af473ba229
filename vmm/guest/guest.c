// SPDX-License-Identifier: MIT
/*
 * The guest of the demonstration. It fills its private memory with words that
 * depend on their address and on a seed, counts, and when asked checks every
 * word. It knows nothing of handovers: the VMM may stop it between any two
 * instructions, and nothing here prepares for that.
 *
 * Seed and counter live in private memory and in registers, so that a VMM that
 * lost either cannot make the guest say that all is well.
 */
#include "pattern.h"
#include "print.h"

#define COUNTS_A_LINE	(1UL << 24)
#define REPORT_BYTES	(64UL << 20)
#define SHOWN_DIFFERENCES 4
#define GUEST_PAGE	4096UL
#define FOUND_STRIDE	1000003UL	/* a prime, so that prefetching does not help */

static struct guest_header *const header = (void *)GUEST_PRIVATE_GPA;
static struct guest_mailbox *const mailbox = (void *)GUEST_MAILBOX;

static uint64_t word_at(const uint64_t *word, uint64_t seed)
{
	return pattern_word((uint64_t)word, seed);
}

static void progress(const char *what, const uint64_t *word, uint64_t size)
{
	uint64_t bytes = (uint64_t)word - GUEST_PRIVATE_GPA;

	if (!bytes || bytes % REPORT_BYTES)
		return;
	print("guest: ");
	print(what);
	print(" ");
	print_number(bytes >> 20);
	print(" of ");
	print_number(size >> 20);
	print(" MiB\n");
}

static void fill(uint64_t seed, uint64_t size)
{
	uint64_t *word = (uint64_t *)(header + 1);
	uint64_t *last = (uint64_t *)(GUEST_PRIVATE_GPA + size);

	print("guest: filling ");
	print_number(size >> 20);
	print(" MiB of private memory\n");
	header->seed = seed;
	header->not_seed = ~seed;
	header->count = 0;
	header->answered = mailbox->request;
	while (word < last) {
		*word = word_at(word, seed);
		word++;
		progress("filled", word, size);
	}
}

/* Check the words from @word to @last. Reports each that differs, while @found is small. */
static uint64_t differences(const uint64_t *word, const uint64_t *last,
			    uint64_t found)
{
	uint64_t seed = header->seed;

	for (; word < last; word++) {
		if (*word == word_at(word, seed) ||
		    ++found > SHOWN_DIFFERENCES)
			continue;
		print("guest: the word at ");
		print_hex((uint64_t)word);
		print(" is ");
		print_hex(*word);
		print(", it was ");
		print_hex(word_at(word, seed));
		print("\n");
	}
	return found;
}

/* Visit all pages, in steps of @stride, which must not divide the number of pages. */
static uint64_t all_differences(uint64_t size, uint64_t stride)
{
	const char *start = (char *)GUEST_PRIVATE_GPA;
	uint64_t pages = size / GUEST_PAGE, page = 0, done;
	uint64_t found = header->seed != ~header->not_seed;

	for (done = 1; done <= pages; done++) {
		const char *at = start + page * GUEST_PAGE;
		const char *from = page ? at : (char *)(header + 1);

		found = differences((uint64_t *)from,
				    (uint64_t *)(at + GUEST_PAGE), found);
		page = (page + stride) % pages;
		progress("checked", (uint64_t *)(start + done * GUEST_PAGE),
			 size);
	}
	return found;
}

static void check(uint64_t size, uint64_t count, uint64_t stride)
{
	uint64_t words = size / sizeof(uint64_t);
	uint64_t found;

	print("guest: checking, counted to ");
	print_number(count);
	print("\n");
	found = all_differences(size, stride);
	if (!found && header->count == count) {
		print("guest: all ");
		print_number(words);
		print(" words whole, counting on from ");
		print_number(count);
		print("\n");
		return;
	}
	print("guest: ");
	print_number(found);
	print(" of ");
	print_number(words);
	print(" words differ\n");
	end(1);
}

/*
 * Count in a register, and check at every step that private memory and an SSE
 * register are those of the step before. Leaves when a request comes, or when
 * a line is due. Returns the counter; *wrong is 1 where something differed.
 */
static uint64_t count_on(uint64_t count, uint32_t answered, uint32_t *wrong)
{
	uint32_t bad = 0;

	__asm__ volatile("\n"
		"1:	cmpq	%[count], %c[o_count](%[header])\n"
		"	jne	2f\n"
		"	movq	%%xmm15, %%rax\n"
		"	cmpq	%%rax, %c[o_seed](%[header])\n"
		"	jne	2f\n"
		"	incq	%[count]\n"
		"	movq	%[count], %c[o_count](%[header])\n"
		"	movq	%[count], %[shown]\n"
		"	cmpl	%[answered], %[request]\n"
		"	jne	3f\n"
		"	testq	%[line], %[count]\n"
		"	jnz	1b\n"
		"	jmp	3f\n"
		"2:	movl	$1, %[bad]\n"
		"3:\n"
		: [count] "+r"(count), [bad] "+r"(bad),
		  [shown] "=m"(mailbox->count)
		: [header] "r"(header), [request] "m"(mailbox->request),
		  [answered] "r"(answered), [line] "r"(COUNTS_A_LINE - 1),
		  [o_count] "i"(__builtin_offsetof(struct guest_header, count)),
		  [o_seed] "i"(__builtin_offsetof(struct guest_header, seed))
		: "rax", "memory", "cc");
	*wrong = bad;
	return count;
}

/* Memory of an earlier guest: it must be as that guest left it. */
static uint64_t find(uint64_t size)
{
	header->answered = mailbox->request;
	check(size, header->count, FOUND_STRIDE);
	return header->count;
}

void guest_main(uint64_t seed, uint64_t size, uint64_t found);

void guest_main(uint64_t seed, uint64_t size, uint64_t found)
{
	uint64_t count = 0;
	uint32_t wrong;

	if (found) {
		count = find(size);
		seed = header->seed;
	} else {
		fill(seed, size);
	}
	__asm__ volatile("movq %0, %%xmm15" : : "r"(seed));
	print(found ? "guest: found, counting\n" : "guest: filled, counting\n");
	for (;;) {
		count = count_on(count, header->answered, &wrong);
		if (wrong) {
			print("guest: registers and memory do not agree, at ");
			print_number(count);
			print("\n");
			end(1);
		}
		if (mailbox->request != header->answered) {
			header->answered = mailbox->request;
			check(size, count, 1);
		} else {
			print("guest: counted to ");
			print_number(count);
			print("\n");
		}
	}
}
