/* SPDX-License-Identifier: MIT */
/*
 * What Intel's MultiProcessor Specification 1.4 has firmware tell: a CPU, the
 * I/O APIC, and where the interrupts of a PC's ISA devices arrive.
 */
#ifndef VMM_BOOT_MPTABLE_H
#define VMM_BOOT_MPTABLE_H

#include <stddef.h>
#include <stdint.h>

#define MPTABLE_GPA	0x9fc00UL	/* the last KiB below 640: it is looked for there */
#define MPTABLE_SIZE	0x400UL

/* Writes it to @bytes, MPTABLE_SIZE of them. */
void mptable_make(void *bytes);

#endif /* VMM_BOOT_MPTABLE_H */
