/* SPDX-License-Identifier: MIT */
/* The tables that describe a machine to its guest, after the ACPI Specification 6.5. */
#ifndef VMM_BOOT_ACPI_H
#define VMM_BOOT_ACPI_H

#include <stddef.h>
#include <stdint.h>

/* Room for the tables of MACHINE_VCPUS processors. */
#define ACPI_SIZE	0x4000UL

/*
 * Make all tables for so many vCPUs, for memory from guest physical address @gpa on. The RSDP is
 * the first. @bytes: room for ACPI_SIZE bytes.
 */
void acpi_make(void *bytes, uint32_t gpa, unsigned int nr_vcpus);

#endif /* VMM_BOOT_ACPI_H */
