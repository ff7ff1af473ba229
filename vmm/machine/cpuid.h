/* SPDX-License-Identifier: MIT */
/* The CPUID of the guest's processors. */
#ifndef VMM_MACHINE_CPUID_H
#define VMM_MACHINE_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

#define CPUID_ENTRIES	GMEM_CPUID_ENTRIES

/* union cpuid_table - a struct kvm_cpuid2 with room */
union cpuid_table {
	struct kvm_cpuid2 cpuid;
	char space[sizeof(struct kvm_cpuid2) +
		   CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
};

/*
 * struct cpuid_place - where a vCPU stands
 * @id: its number, which is the id of its local APIC
 * @nr_vcpus: of the machine: cores of one package, with a thread each
 * @deadline: the timer of its local APIC has the TSC-deadline mode
 */
struct cpuid_place {
	uint32_t id;
	uint32_t nr_vcpus;
	bool deadline;
};

/*
 * Turn the CPUID that KVM supports, which describes the current processor, into that of a vCPU.
 * Returns 0; -E2BIG: no room.
 */
int cpuid_place(union cpuid_table *table, const struct cpuid_place *place);

/* How wide a guest physical address is. */
unsigned int cpuid_address_bits(const union cpuid_table *table);

/* All that KVM supports. 0 or -errno. */
int machine_supported_cpuid(struct machine *machine, union cpuid_table *table);

/* Give each vCPU its own. 0 or -errno. */
int machine_set_cpuid(struct machine *machine);

#endif /* VMM_MACHINE_CPUID_H */
