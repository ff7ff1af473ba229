/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupts in a guest: ports, the IOAPIC, waiting in HLT.
 */
#ifndef GMEM_TESTS_INTERRUPTS_H
#define GMEM_TESTS_INTERRUPTS_H

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"

#define APIC_ISR		0x100
#define APIC_LVT0		0x350

#define IOAPIC_GPA		0xfec00000ULL
#define IOAPIC_LEVEL		(1 << 15)
#define IOAPIC_MASKED		(1 << 16)
#define IOAPIC_REMOTE_IRR	(1 << 14)

static inline void outb(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* Waits for an interrupt with none lost before it. */
static inline void halt(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

/* Takes what is pending. */
static inline void take_interrupts(void)
{
	asm volatile("sti; nop; nop; cli" : : : "memory");
}

/* KVM's LAPIC begins with the PIC behind LVT0. */
static inline void lapic_enable(void)
{
	x2apic_enable();
	x2apic_write_reg(APIC_LVT0, APIC_LVT_MASKED);
}

/*
 * Is this interrupt the LAPIC's? The lab's QEMU delivers what a VMRUN injects
 * once more if its own thread is interrupted before the next exit: for the
 * LAPIC, that is no interrupt.
 */
static inline bool in_service(uint8_t vector)
{
	return x2apic_read_reg(APIC_ISR + vector / 32 * 0x10) & (1U << vector % 32);
}

static inline void eoi(void)
{
	x2apic_write_reg(APIC_EOI, 0);
}

/* The host makes the IOAPIC's page the guest's before the guest redirects a pin. */
static inline void map_ioapic(struct kvm_vm *vm)
{
	virt_pg_map(vm, IOAPIC_GPA, IOAPIC_GPA);
}

static inline void ioapic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)IOAPIC_GPA = reg;
	*(volatile uint32_t *)(IOAPIC_GPA + 0x10) = value;
}

static inline uint32_t ioapic_read(uint32_t reg)
{
	*(volatile uint32_t *)IOAPIC_GPA = reg;
	return *(volatile uint32_t *)(IOAPIC_GPA + 0x10);
}

/* To the LAPIC with ID 0. */
static inline void ioapic_redirect(unsigned int pin, uint32_t entry)
{
	ioapic_write(0x10 + 2 * pin + 1, 0);
	ioapic_write(0x10 + 2 * pin, entry);
}

/* Nanoseconds by the guest's TSC. */
static inline uint64_t tsc_ns(uint64_t tsc)
{
	return (__uint128_t)tsc * 1000000 / guest_tsc_khz;
}

static inline uint64_t ns_tsc(uint64_t ns)
{
	return (__uint128_t)ns * guest_tsc_khz / 1000000;
}

#endif /* GMEM_TESTS_INTERRUPTS_H */
