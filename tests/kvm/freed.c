// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest wrote is gone from a page when the inode lets go of it. To be
 * seen only where the kernel's allocator does not clear pages itself: in a lab
 * booted with init_on_alloc=0.
 */
#include <elf.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "claims.h"
#include "clearing.h"
#include "machine.h"
#include "tracing.h"

#define PAGES	64
#define PATTERN	7

static uint64_t pfns[PAGES];

/* Where /proc/kcore has a physical address. */
static off_t kcore_offset(int fd, uint64_t address)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	TEST_ASSERT(pread(fd, &header, sizeof(header), 0) == sizeof(header), "read /proc/kcore");
	for (int i = 0; i < header.e_phnum; i++) {
		off_t at = header.e_phoff + i * sizeof(segment);

		TEST_ASSERT(pread(fd, &segment, sizeof(segment), at) == sizeof(segment),
			    "read /proc/kcore");
		if (segment.p_type == PT_LOAD && segment.p_paddr != ~0UL &&
		    address - segment.p_paddr < segment.p_memsz)
			return segment.p_offset + (address - segment.p_paddr);
	}
	TEST_FAIL("physical address %#lx is not in /proc/kcore", address);
	return -1;
}

/* How many of the pages' frames have a word that the guest wrote there. */
static unsigned int frames_with_content(void)
{
	int fd = open("/proc/kcore", O_RDONLY);
	uint64_t words[PAGE_SIZE / sizeof(uint64_t)];
	unsigned int found = 0;

	TEST_ASSERT(fd >= 0, "open /proc/kcore");
	for (uint64_t page = 0; page < PAGES; page++) {
		off_t at = kcore_offset(fd, pfns[page] * PAGE_SIZE);

		TEST_ASSERT(pread(fd, words, sizeof(words), at) == sizeof(words), "read frame");
		for (uint64_t i = 0; i < ARRAY_SIZE(words); i++) {
			if (words[i] == pattern_word(PATTERN, page, i)) {
				found++;
				break;
			}
		}
	}
	close(fd);
	return found;
}

static struct machine *machine_with_content(void)
{
	struct machine *m;
	struct stat st;

	if (allocator_clears())
		claim_skip("the kernel clears pages when it allocates them");
	trace_start("gmem_fault");
	m = machine_create(PAGES);
	guest_write(m, 0, PAGES, PATTERN);
	TEST_ASSERT(!fstat(m->view, &st), "fstat");
	for (uint64_t page = 0; page < PAGES; page++)
		pfns[page] = trace_fault_pfn(st.st_ino, page);
	/* So that finding none later means something. */
	TEST_ASSERT_EQ(frames_with_content(), PAGES);
	return m;
}

static void punched(void)
{
	struct machine *m = machine_with_content();

	punch_pages(m->view, 0, PAGES);
	TEST_ASSERT_EQ(frames_with_content(), 0);
}

static void last_release(void)
{
	struct machine *m = machine_with_content();

	machine_free(m);
	TEST_ASSERT_EQ(frames_with_content(), 0);
}

static void not_the_last_release(void)
{
	struct machine *m = machine_with_content();
	int view = link_view(idle_vm(), m->view);

	machine_free(m);
	TEST_ASSERT_EQ(frames_with_content(), PAGES);
	close(view);
	TEST_ASSERT_EQ(frames_with_content(), 0);
}

/* Frames that the allocator will hand out next, with something in them. */
static void soil_free_memory(void)
{
	size_t size = 256UL << 20;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(memory != MAP_FAILED, "mmap");
	memset(memory, 0xa5, size);
	munmap(memory, size);
}

/* And what comes in is zeroes, though the allocator does not see to that. */
static void comes_in_zeroed(void)
{
	struct machine *m = machine_with_content();

	punch_pages(m->view, 0, PAGES);
	soil_free_memory();
	guest_expect(m, 0, PAGES / 2, 0);
	allocate_pages(m->view, PAGES / 2, PAGES / 2);
	guest_expect(m, PAGES / 2, PAGES / 2, 0);
}

static const struct claim claims[] = {
	CLAIM(punched, "a punched page is cleared before it is freed"),
	CLAIM(last_release, "so are all pages at the last view's end"),
	CLAIM(not_the_last_release, "and not before: another view keeps content and frames"),
	CLAIM(comes_in_zeroed, "a page that comes in is zeroed by the engine itself"),
};

CLAIMS_MAIN(claims);
