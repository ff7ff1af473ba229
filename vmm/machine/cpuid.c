// SPDX-License-Identifier: MIT
/* After the processors' manuals: Intel's volume 2A, CPUID; AMD's volume 3, appendix E. */
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <string.h>

#include "machine/cpuid.h"

#define LEAF_BASIC		0x0U
#define LEAF_FEATURES		0x1U
#define LEAF_CACHES		0x4U		/* Intel's */
#define LEAF_TOPOLOGY		0xbU
#define LEAF_TOPOLOGY_2		0x1fU
#define LEAF_AMD_FEATURES	0x80000001U
#define LEAF_SIZES		0x80000008U
#define LEAF_AMD_CACHES		0x8000001dU
#define LEAF_AMD_TOPOLOGY	0x8000001eU
#define LEAF_AMD_TOPOLOGY_2	0x80000026U

#define FEATURE_HYPERVISOR	(1U << 31)	/* ecx of LEAF_FEATURES */
#define FEATURE_DEADLINE	(1U << 24)
#define FEATURE_X2APIC		(1U << 21)
#define FEATURE_HTT		(1U << 28)	/* edx: the package has several */
#define FEATURE_CMP_LEGACY	(1U << 1)	/* ecx of LEAF_AMD_FEATURES: likewise */

#define LEVEL_THREAD		1U
#define LEVEL_CORE		2U

/* Bits of an APIC id that tell a package's cores apart. */
static uint32_t core_bits(const struct cpuid_place *place)
{
	uint32_t bits = 0;

	while (1U << bits < place->nr_vcpus)
		bits++;
	return bits;
}

static uint32_t put_bits(uint32_t old, unsigned int first, unsigned int count, uint32_t value)
{
	uint32_t mask = ((1U << count) - 1) << first;

	return (old & ~mask) | (value << first & mask);
}

/* The last level of caches belongs to the package, the others to a core. */
static void share_cache(struct kvm_cpuid_entry2 *entry, const struct cpuid_place *place)
{
	uint32_t level = entry->eax >> 5 & 7;

	if (entry->eax & 0x1f)
		entry->eax = put_bits(entry->eax, 14, 12,
				      level >= 3 ? (1U << core_bits(place)) - 1 : 0);
}

static void adapt(struct kvm_cpuid_entry2 *entry, const struct cpuid_place *place)
{
	switch (entry->function) {
	case LEAF_FEATURES:
		entry->ebx = put_bits(entry->ebx, 24, 8, place->id);
		entry->ebx = put_bits(entry->ebx, 16, 8, 1U << core_bits(place));
		entry->ecx |= FEATURE_HYPERVISOR | FEATURE_X2APIC;
		if (place->deadline)
			entry->ecx |= FEATURE_DEADLINE;
		entry->edx &= ~FEATURE_HTT;
		if (place->nr_vcpus > 1)
			entry->edx |= FEATURE_HTT;
		break;
	case LEAF_CACHES:
		share_cache(entry, place);
		if (entry->eax & 0x1f)
			entry->eax = put_bits(entry->eax, 26, 6, (1U << core_bits(place)) - 1);
		break;
	case LEAF_AMD_FEATURES:
		entry->ecx &= ~FEATURE_CMP_LEGACY;
		/* Reserved in Intel's. */
		if (place->nr_vcpus > 1 && entry->ecx & 1 << 2)
			entry->ecx |= FEATURE_CMP_LEGACY;
		break;
	case LEAF_SIZES:
		entry->ecx = put_bits(entry->ecx, 0, 8, place->nr_vcpus - 1);
		entry->ecx = put_bits(entry->ecx, 12, 4, core_bits(place));
		break;
	case LEAF_AMD_CACHES:
		share_cache(entry, place);
		break;
	case LEAF_AMD_TOPOLOGY:
		entry->eax = place->id;
		entry->ebx = place->id & 0xff;	/* the core; one thread each */
		entry->ecx = 0;			/* one node */
		break;
	}
}

static bool is_topology(uint32_t function)
{
	return function == LEAF_TOPOLOGY || function == LEAF_TOPOLOGY_2 ||
	       function == LEAF_AMD_TOPOLOGY_2;
}

static int add_topology(struct kvm_cpuid2 *cpuid, uint32_t function,
			const struct cpuid_place *place)
{
	const struct kvm_cpuid_entry2 levels[] = {
		{ .ebx = 1, .ecx = LEVEL_THREAD << 8 },
		{ .eax = core_bits(place), .ebx = place->nr_vcpus, .ecx = LEVEL_CORE << 8 | 1 },
		{ .ecx = 2 },			/* no more */
	};
	unsigned int i;

	for (i = 0; i < 3; i++) {
		if (cpuid->nent == CPUID_ENTRIES)
			return -E2BIG;
		cpuid->entries[cpuid->nent] = levels[i];
		cpuid->entries[cpuid->nent].function = function;
		cpuid->entries[cpuid->nent].index = i;
		cpuid->entries[cpuid->nent].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		cpuid->entries[cpuid->nent++].edx = place->id;
	}
	return 0;
}

int cpuid_place(union cpuid_table *table, const struct cpuid_place *place)
{
	struct kvm_cpuid2 *cpuid = &table->cpuid;
	uint32_t i, kept = 0, last = 0;
	int ret = 0;

	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == LEAF_BASIC)
			last = entry->eax;
		if (is_topology(entry->function))
			continue;
		adapt(entry, place);
		cpuid->entries[kept++] = *entry;
	}
	cpuid->nent = kept;
	if (last >= LEAF_TOPOLOGY)
		ret = add_topology(cpuid, LEAF_TOPOLOGY, place);
	if (!ret && last >= LEAF_TOPOLOGY_2)
		ret = add_topology(cpuid, LEAF_TOPOLOGY_2, place);
	return ret;
}

unsigned int cpuid_address_bits(const union cpuid_table *table)
{
	uint32_t i;

	for (i = 0; i < table->cpuid.nent; i++)
		if (table->cpuid.entries[i].function == LEAF_SIZES)
			return table->cpuid.entries[i].eax & 0xff;
	return 36;	/* every processor with 64-bit mode has it */
}

int machine_supported_cpuid(struct machine *machine, union cpuid_table *table)
{
	memset(table, 0, sizeof(*table));
	table->cpuid.nent = CPUID_ENTRIES;
	return gmem_supported_cpuid(machine->kvm, &table->cpuid);
}

int machine_set_cpuid(struct machine *machine)
{
	struct cpuid_place place = {
		.nr_vcpus = machine->nr_vcpus,
		.deadline = gmem_check_extension(machine->kvm,
						 KVM_CAP_TSC_DEADLINE_TIMER) > 0,
	};
	union cpuid_table supported, table;
	int ret;

	machine->step = "setting the vCPUs' CPUID";
	ret = machine_supported_cpuid(machine, &supported);
	while (!ret && place.id < place.nr_vcpus) {
		table = supported;
		ret = cpuid_place(&table, &place);
		if (!ret)
			ret = gmem_vcpu_set_cpuid(&machine->vcpus[place.id], &table.cpuid);
		place.id++;
	}
	return ret;
}
