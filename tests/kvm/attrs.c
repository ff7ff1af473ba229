// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_MEMORY_ATTRIBUTES: ranges, whatever their size and order.
 */
#include "claims.h"
#include "machine.h"

#define PAGES	1024		/* two huge page ranges */

static int __convert(struct kvm_vm *vm, uint64_t gpa, uint64_t size, uint64_t attributes)
{
	struct kvm_memory_attributes attrs = {
		.address = gpa,
		.size = size,
		.attributes = attributes,
	};

	return __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs);
}

static void convert(struct machine *m, uint64_t first, uint64_t n, bool private)
{
	int ret = __convert(m->vm, MACHINE_GPA + first * PAGE_SIZE, n * PAGE_SIZE,
			    private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);

	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_SET_MEMORY_ATTRIBUTES, ret));
}

/* Shared pages have nothing behind them here, so the guest's touch tells them. */
static void expect_page(struct machine *m, uint64_t page, bool private)
{
	TEST_ASSERT_EQ(guest_try_touch(m, page), private ? 0 : EFAULT);
}

static void wrong_arguments(void)
{
	struct kvm_vm *vm = idle_vm();
	struct kvm_memory_attributes attrs = { .size = PAGE_SIZE, .flags = 1 };

	TEST_ERRNO(__vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs), EINVAL);
	TEST_ERRNO(ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, NULL), EFAULT);
	TEST_ERRNO(__convert(vm, 0, 0, 0), EINVAL);
	TEST_ERRNO(__convert(vm, 1, PAGE_SIZE, 0), EINVAL);
	TEST_ERRNO(__convert(vm, 0, PAGE_SIZE + 1, 0), EINVAL);
	TEST_ERRNO(__convert(vm, -PAGE_SIZE, 2 * PAGE_SIZE, 0), EINVAL);
	for (int bit = 0; bit < 64; bit++) {
		if (1ULL << bit != KVM_MEMORY_ATTRIBUTE_PRIVATE)
			TEST_ERRNO(__convert(vm, 0, PAGE_SIZE, 1ULL << bit), EINVAL);
	}
	TEST_ERRNO(__convert(vm_create_barebones(), 0, PAGE_SIZE, KVM_MEMORY_ATTRIBUTE_PRIVATE),
		   EINVAL);
}

/* By pages, as in Linux 6.12, this is hours and more memory than there is. */
static void size_costs_nothing(void)
{
	struct kvm_vm *vm = idle_vm();

	require_link();
	for (int i = 0; i < 1000; i++)
		TEST_ASSERT_EQ(__convert(vm, 1ULL << 32, 1ULL << 50,
					 i & 1 ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
	TEST_ASSERT_EQ(__convert(vm, 0, -PAGE_SIZE, KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
}

static uint64_t random_number(uint64_t limit)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % limit;
}

static void model(void)
{
	struct machine *m = machine_create(PAGES);
	static bool private[PAGES];

	memset(private, true, sizeof(private));
	for (int step = 0; step < 400; step++) {
		uint64_t first = random_number(PAGES);
		uint64_t n = 1 + random_number(step & 1 ? 4 : PAGES - first);
		bool to = random_number(2);

		if (first + n > PAGES)
			n = PAGES - first;
		convert(m, first, n, to);
		memset(private + first, to, n);

		/* The borders of what was set, and pages anywhere. */
		if (first)
			expect_page(m, first - 1, private[first - 1]);
		expect_page(m, first, to);
		expect_page(m, first + n - 1, to);
		if (first + n < PAGES)
			expect_page(m, first + n, private[first + n]);
		for (int i = 0; i < 4; i++) {
			uint64_t page = random_number(PAGES);

			expect_page(m, page, private[page]);
		}
	}
	for (uint64_t page = 0; page < PAGES; page++)
		expect_page(m, page, private[page]);
}

static void every_other_page(void)
{
	struct machine *m = machine_create(PAGES);

	for (uint64_t page = 0; page < PAGES; page += 2)
		convert(m, page, 1, false);
	for (uint64_t page = 0; page < PAGES; page++)
		expect_page(m, page, page & 1);
	for (uint64_t page = 0; page < PAGES; page += 2)
		convert(m, page, 1, true);
	guest_touch(m, 0, PAGES);
}

/* A slot made after its attributes were set has to find them. */
static void before_the_slot(void)
{
	struct machine *m = machine_create(PAGES);

	machine_unbind(m);
	convert(m, 100, 500, false);
	convert(m, 700, 1, false);
	machine_bind(m, 0);
	for (uint64_t page = 0; page < PAGES; page++)
		expect_page(m, page, !(page >= 100 && page < 600) && page != 700);
}

static const struct claim claims[] = {
	CLAIM(wrong_arguments,
	      "flags, unknown bits, and ranges empty, unaligned or wrapping: EINVAL"),
	CLAIM(size_costs_nothing, "a petabyte is converted a thousand times in no time"),
	CLAIM(model, "after any conversions each page is what it was set to last"),
	CLAIM(every_other_page, "every other page shared, and back"),
	CLAIM(before_the_slot, "a slot finds the attributes that were set before it was made"),
};

CLAIMS_MAIN(claims);
