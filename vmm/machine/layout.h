/* SPDX-License-Identifier: MIT */
/*
 * The layout of a Linux guest: guest physical addresses, ports and interrupts. docs/vmm.md has the
 * same for people.
 */
#ifndef VMM_MACHINE_LAYOUT_H
#define VMM_MACHINE_LAYOUT_H

/* RAM is below the hole; the rest that does not fit there starts at 4 GiB. */
#define HOLE_START		0xc0000000UL
#define HOLE_END		0x100000000UL

/* In the hole, besides PCI's window (devices/pci.h) and KVM's three pages at 0xfffbd000 */
#define IOAPIC_ADDRESS		0xfec00000UL
#define LAPIC_ADDRESS		0xfee00000UL

/* Below the first MiB: memory that the kernel must not use. */
#define LOW_END			0xa0000UL
#define TABLES_START		0xe0000UL	/* ACPI's */
#define HIGH_START		0x100000UL

/* Ports */
#define POWER_PORT		0x600

/* Pins of the IOAPIC; the serial port has 4. */
#define POWER_IRQ		9

#endif /* VMM_MACHINE_LAYOUT_H */
