// SPDX-License-Identifier: GPL-2.0-only
/* A guest that counts interrupts: see counting.h. */
#include "counting.h"

volatile uint64_t interrupt_counts[COUNTED];

void count_interrupt(struct ex_regs *regs)
{
	if (!in_service(regs->vector))
		return;
	interrupt_counts[regs->vector - COUNTED_VECTOR]++;
	eoi();
}

void handle_counted(struct kvm_vm *vm, void (*handler)(struct ex_regs *regs))
{
	map_ioapic(vm);
	for (int i = 0; i < COUNTED; i++)
		vm_install_exception_handler(vm, COUNTED_VECTOR + i, handler);
}

int signal_msi(struct kvm_vm *vm)
{
	struct kvm_msi msi = { .address_lo = APIC_DEFAULT_GPA, .data = COUNTED_VECTOR };

	return __vm_ioctl(vm, KVM_SIGNAL_MSI, &msi);
}
