/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that counts interrupts, by their vectors.
 */
#ifndef GMEM_TESTS_COUNTING_H
#define GMEM_TESTS_COUNTING_H

#include "interrupts.h"

#define COUNTED_VECTOR	0x41	/* the first */
#define COUNTED		2	/* as many, from that on */

extern volatile uint64_t interrupt_counts[COUNTED];	/* of each guest its own */

/* Counts an interrupt that the LAPIC has in service, and ends it. */
void count_interrupt(struct ex_regs *regs);

/* Sets @handler for all of them, and maps the IOAPIC. */
void handle_counted(struct kvm_vm *vm, void (*handler)(struct ex_regs *regs));

/* An MSI with COUNTED_VECTOR: what KVM_SIGNAL_MSI returns. */
int signal_msi(struct kvm_vm *vm);

#endif /* GMEM_TESTS_COUNTING_H */
