// SPDX-License-Identifier: MIT
/*
 * Memory that began private, in place: pages that the guest shares, and pages that a snapshot must
 * expose.
 */
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <stdlib.h>

#include "common/page-bits.h"
#include "machine/machine.h"
#include "machine/private.h"

#define PAGE	4096UL

bool machine_begins_private(const struct machine *machine, const struct machine_memory *memory)
{
	return machine->vm_type == KVM_X86_SW_PROTECTED_VM &&
	       memory->slot.private_fd == memory->slot.shared_fd;
}

/* The next run of private pages from *@page on, before @end: its length, or 0. */
static uint64_t next_private(const struct machine_memory *memory, uint64_t *page, uint64_t end)
{
	uint64_t nr = 0;

	if (!memory->shared)
		return end - *page;
	while (*page < end && page_is_set(memory->shared, *page))
		(*page)++;
	while (*page + nr < end && !page_is_set(memory->shared, *page + nr))
		nr++;
	return nr;
}

static int convert(const struct machine_memory *memory, uint64_t page, uint64_t nr,
		   bool is_private)
{
	return gmem_convert(memory->slot.private_fd, memory->slot.private_offset + page * PAGE,
			    nr * PAGE, is_private);
}

/* ---- What the guest shares ---- */

static int share_pages(struct machine *machine, struct machine_memory *memory, uint64_t page,
		       uint64_t end)
{
	uint64_t nr;
	int ret;

	if (!memory->shared)
		memory->shared = calloc(1, memory->slot.size / PAGE / 8 + 1);
	if (!memory->shared)
		return -ENOMEM;
	while ((nr = next_private(memory, &page, end))) {
		ret = convert(memory, page, nr, false);
		if (ret)
			return ret;
		machine->nr_shared += nr;
		for (; nr; nr--)
			page_set(memory->shared, page++, true);
	}
	return 0;
}

int machine_share(struct machine *machine, uint64_t gpa, uint64_t size)
{
	struct machine_memory *memory = machine_memory_at(machine, gpa, size);

	if (!size || !memory)
		return -EINVAL;
	if (!machine_begins_private(machine, memory))
		return 0;
	gpa -= memory->slot.gpa;
	return share_pages(machine, memory, gpa / PAGE, (gpa + size - 1) / PAGE + 1);
}

/* ---- What is private, as ranges ---- */

int machine_private_ranges(const struct machine *machine, struct gmem_range *ranges,
			   uint32_t most)
{
	uint32_t nr = 0;
	unsigned int i;

	for (i = 0; i < machine->nr_memory; i++) {
		const struct machine_memory *memory = &machine->memory[i];
		uint64_t page = 0, length, end = memory->slot.size / PAGE;

		if (!machine_begins_private(machine, memory))
			continue;
		for (; (length = next_private(memory, &page, end)); page += length) {
			if (nr == most)
				return -E2BIG;
			ranges[nr++] = (struct gmem_range){
				.gpa = memory->slot.gpa + page * PAGE, .size = length * PAGE,
				.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
			};
		}
	}
	return nr;
}

/* Handle the ranges of one slot, and skip those of others. */
static int share_around(struct machine *machine, struct machine_memory *memory,
			const struct gmem_range *ranges, uint32_t nr)
{
	uint64_t from = memory->slot.gpa, end = from + memory->slot.size;
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i < nr; i++) {
		if (ranges[i].gpa < from || ranges[i].gpa >= end)
			continue;
		if (ranges[i].gpa > from)
			ret = machine_share(machine, from, ranges[i].gpa - from);
		from = ranges[i].gpa + ranges[i].size;
	}
	return ret || from == end ? ret : machine_share(machine, from, end - from);
}

/* Ascending, and each in a slot. */
static bool are_good(struct machine *machine, const struct gmem_range *ranges, uint32_t nr)
{
	uint64_t from = 0;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		if (ranges[i].attributes != KVM_MEMORY_ATTRIBUTE_PRIVATE || ranges[i].gpa < from ||
		    !machine_memory_at(machine, ranges[i].gpa, ranges[i].size))
			return false;
		from = ranges[i].gpa + ranges[i].size;
	}
	return true;
}

int machine_share_rest(struct machine *machine, const struct gmem_range *ranges, uint32_t nr)
{
	unsigned int i;
	int ret = 0;

	if (!are_good(machine, ranges, nr))
		return -EPROTO;
	for (i = 0; !ret && i < machine->nr_memory; i++)
		if (machine_begins_private(machine, &machine->memory[i]))
			ret = share_around(machine, &machine->memory[i], ranges, nr);
	return ret;
}

/* ---- For a snapshot ---- */

int machine_expose(const struct machine *machine, const struct machine_memory *memory,
		   uint64_t offset, uint64_t size, bool exposed)
{
	uint64_t page = offset / PAGE, end = (offset + size) / PAGE, nr;
	int ret, first = 0;

	if (!machine_begins_private(machine, memory))
		return 0;
	for (; (nr = next_private(memory, &page, end)); page += nr) {
		ret = convert(memory, page, nr, !exposed);
		if (!first)
			first = ret;
		if (ret && exposed)
			break;
	}
	return first;
}
