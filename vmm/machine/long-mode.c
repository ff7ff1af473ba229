// SPDX-License-Identifier: MIT
#include "machine/long-mode.h"

#define EFER_LONG	0x500UL		/* LME, LMA */
#define RFLAGS_FIXED	0x2UL

static void set_flat(struct kvm_sregs *sregs, const struct kvm_segment *code,
		     const struct kvm_segment *data)
{
	sregs->cs = *code;
	sregs->ds = *data;
	sregs->es = *data;
	sregs->ss = *data;
}

static int set_registers(struct gmem_vcpu *vcpu, const struct kvm_sregs *sregs,
			 struct kvm_regs regs)
{
	int ret = gmem_vcpu_set_sregs(vcpu, sregs);

	regs.rflags = RFLAGS_FIXED;
	return ret ? ret : gmem_vcpu_set_regs(vcpu, &regs);
}

int machine_set_long_mode(struct machine *machine, const struct long_mode *mode)
{
	struct gmem_vcpu *vcpu = &machine->vcpus[0];
	struct kvm_segment code = {
		.limit = ~0U, .selector = mode->code, .type = 11, .present = 1,
		.s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = ~0U, .selector = mode->data, .type = 3, .present = 1,
		.s = 1, .db = 1, .g = 1,
	};
	struct kvm_sregs sregs;
	int ret;

	machine->step = "setting the vCPU's registers";
	ret = gmem_vcpu_get_sregs(vcpu, &sregs);
	if (ret)
		return ret;
	set_flat(&sregs, &code, &data);
	sregs.cr0 = mode->cr0;
	sregs.cr3 = mode->cr3;
	sregs.cr4 = mode->cr4;
	sregs.efer = EFER_LONG;
	return set_registers(vcpu, &sregs, mode->regs);
}

int machine_set_protected_mode(struct machine *machine, const struct protected_mode *mode)
{
	struct gmem_vcpu *vcpu = &machine->vcpus[0];
	struct kvm_segment data = {
		.limit = ~0U, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_segment code = data;
	struct kvm_segment task = { .limit = 0x67, .type = 11, .present = 1 };
	struct kvm_sregs sregs;
	int ret;

	machine->step = "setting the vCPU's registers";
	code.type = 11;
	ret = gmem_vcpu_get_sregs(vcpu, &sregs);
	if (ret)
		return ret;
	set_flat(&sregs, &code, &data);
	sregs.tr = task;
	sregs.cr0 = mode->cr0;
	return set_registers(vcpu, &sregs, mode->regs);
}
