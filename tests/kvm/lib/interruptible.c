// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that Bochs can interrupt.
 *
 * An interrupt of the host's makes a guest exit whether the guest has interrupts enabled or not.
 * In Bochs 2.7 that holds only where the guest has, or has changed that since its entry: which
 * events are masked is worked out at the entry, before Bochs takes the CPU for a guest's. A guest
 * that goes round with interrupts disabled, as upstream's library starts it, keeps the CPU for
 * ever.
 */
#include <asm/processor-flags.h>

#include "kvm_util.h"
#include "processor.h"

struct kvm_vcpu *__real_vm_arch_vcpu_add(struct kvm_vm *vm, uint32_t vcpu_id);
struct kvm_vcpu *__wrap_vm_arch_vcpu_add(struct kvm_vm *vm, uint32_t vcpu_id);

struct kvm_vcpu *__wrap_vm_arch_vcpu_add(struct kvm_vm *vm, uint32_t vcpu_id)
{
	struct kvm_vcpu *vcpu = __real_vm_arch_vcpu_add(vm, vcpu_id);
	struct kvm_regs regs;

	if (!host_cpu_is_intel)
		return vcpu;
	vcpu_regs_get(vcpu, &regs);
	regs.rflags |= X86_EFLAGS_IF;
	vcpu_regs_set(vcpu, &regs);
	return vcpu;
}
