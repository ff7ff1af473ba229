/* SPDX-License-Identifier: MIT */
/* The tables by which a machine tells a guest what it has, after the ACPI Specification 6.5. */
#ifndef VMM_BOOT_ACPI_H
#define VMM_BOOT_ACPI_H

#include <stddef.h>
#include <stdint.h>

/* Room for the tables of MACHINE_VCPUS processors. */
#define ACPI_SIZE	0x4000UL

/*
 * Make all of them, for so many vCPUs, as they stand in memory from guest physical
 * address @gpa on: the RSDP is the first. @bytes: ACPI_SIZE of them.
 */
void acpi_make(void *bytes, uint32_t gpa, unsigned int nr_vcpus);

#endif /* VMM_BOOT_ACPI_H */
