// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which huge pages a VM's attributes leave: KVM maps 2 MiB at once where all of
 * them are private, and by pages where not, whatever way they became so.
 */
#include "claims.h"
#include "huge.h"
#include "moving.h"

#define FOLIOS	6
#define PAGES	(FOLIOS * HUGE_PAGES)

static struct machine *m;
static bool private[PAGES];

static void begin(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	expect_no_huge_folio();
	m = machine_create(PAGES);
	memset(private, true, sizeof(private));
	TEST_ASSERT_EQ(populate(m, 0, PAGES, NULL), (long)PAGES);
	TEST_ASSERT_EQ(huge_folios(), FOLIOS);
}

static void convert(uint64_t first, uint64_t n, bool to)
{
	vm_set_memory_attributes(m->vm, MACHINE_GPA + first * PAGE_SIZE, n * PAGE_SIZE,
				 to ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
	memset(private + first, to, n);
}

/* Nothing is mapped yet: what the guest's touch of each 2 MiB maps. */
static void expect_huge_pages(void)
{
	for (uint64_t first = 0; first < PAGES; first += HUGE_PAGES) {
		bool *of = private + first;
		bool *touched = memchr(of, true, HUGE_PAGES);

		if (touched)
			TEST_ASSERT_EQ(huge_by_touch(m, first + (touched - of)),
				       memchr(of, false, HUGE_PAGES) ? 0 : 1);
	}
}

static void set_nx_huge_pages(const char *value)
{
	int fd = open("/sys/module/kvm/parameters/nx_huge_pages", O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value),
		    "set nx_huge_pages to %s: errno %d", value, errno);
	close(fd);
}

/* Each change of that has KVM empty its stage-2 tables, and leave all else as it is. */
static void unmap(void)
{
	set_nx_huge_pages("force");
	set_nx_huge_pages("off");
}

static void change_some(void)
{
	for (int i = random() % 8; i >= 0; i--) {
		uint64_t first = random() % PAGES, n = 1 + random() % (PAGES - first);

		if (random() & 1)
			n = 1 + random() % 4;
		if (random() % 4 == 0) {
			first -= first % HUGE_PAGES;
			n += HUGE_PAGES - n % HUGE_PAGES;
		}
		if (first + n > PAGES)
			n = PAGES - first;
		convert(first, n, random() % 3);
	}
}

#define ROUNDS	100

static void by_setting_them(void)
{
	begin();
	for (unsigned int round = 0; round < claim_times(ROUNDS); round++) {
		change_some();
		unmap();
		expect_huge_pages();
	}
}

static void in_a_new_slot(void)
{
	begin();
	for (unsigned int round = 0; round < claim_times(ROUNDS); round++) {
		change_some();
		machine_unbind(m);
		change_some();
		machine_bind(m, 0);
		expect_huge_pages();
	}
}

/* Where no huge page of the guest's begins or ends with the slot. */
static void in_a_slot_of_any_borders(void)
{
	begin();
	machine_unbind(m);
	for (unsigned int round = 0; round < claim_times(ROUNDS); round++) {
		uint64_t first = 1 + random() % HUGE_PAGES, n = PAGES - 2 * HUGE_PAGES - 1;

		vm_set_user_memory_region2(m->vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD,
					   MACHINE_GPA + first * PAGE_SIZE, n * PAGE_SIZE,
					   (void *)(MACHINE_GPA + first * PAGE_SIZE),
					   m->view, first * PAGE_SIZE);
		change_some();
		unmap();
		for (uint64_t huge = HUGE_PAGES; huge < first + n; huge += HUGE_PAGES) {
			bool all = !memchr(private + huge, false, HUGE_PAGES) &&
				   huge + HUGE_PAGES <= first + n;

			if (private[huge])
				TEST_ASSERT_EQ(huge_by_touch(m, huge), all);
		}
		vm_set_user_memory_region2(m->vm, MACHINE_SLOT, 0, 0, 0, NULL, -1, 0);
	}
}

static void after_a_move(void)
{
	require_move();
	begin();
	for (int round = 0; round < ROUNDS / 10; round++) {
		struct machine *source = m;

		change_some();
		m = destination(source);
		move(m, source);
		machine_release(source);
		/* What the source had mapped went along. */
		unmap();
		expect_huge_pages();
		change_some();
		unmap();
		expect_huge_pages();
	}
}

static const struct claim claims[] = {
	SLOW_CLAIM(by_setting_them, 120, "attributes that were set, in a slot that was there"),
	SLOW_CLAIM(in_a_new_slot, 120, "a slot made after its attributes were set"),
	SLOW_CLAIM(in_a_slot_of_any_borders, 120, "a slot that begins and ends anywhere"),
	SLOW_CLAIM(after_a_move, 120, "attributes that were moved, and set then"),
};

CLAIMS_MAIN(claims);
