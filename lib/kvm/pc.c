// SPDX-License-Identifier: MIT
/* The devices of a PC that KVM emulates, besides CPUs and memory. */
#include <string.h>

#include <gmem.h>

#include "kvm/ioctl.h"

/* KVM on Intel needs three pages of guest memory: put them where no PC has memory. */
#define TSS_ADDRESS	0xfffbd000UL

/* Of the local APIC. */
#define LVT0		0x350
#define LVT1		0x360
#define DELIVER_EXTINT	0x700
#define DELIVER_NMI	0x400

int gmem_vm_create_pc(int vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int ret = gmem_ioctl(vm, KVM_SET_TSS_ADDR, (const void *)TSS_ADDRESS);

	if (!ret)
		ret = gmem_ioctl(vm, KVM_CREATE_IRQCHIP, NULL);
	return ret ? ret : gmem_ioctl(vm, KVM_CREATE_PIT2, &pit);
}

int gmem_vm_set_irq(int vm, uint32_t irq, int level)
{
	struct kvm_irq_level line = { .irq = irq, .level = level };

	return gmem_ioctl(vm, KVM_IRQ_LINE, &line);
}

static void set_register(struct kvm_lapic_state *lapic, unsigned int reg,
			 uint32_t value)
{
	memcpy(lapic->regs + reg, &value, sizeof(value));
}

int gmem_vcpu_wire_pic(struct gmem_vcpu *vcpu)
{
	struct kvm_lapic_state lapic = { 0 };
	int ret = gmem_ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic);

	if (ret)
		return ret;
	set_register(&lapic, LVT0, DELIVER_EXTINT);
	set_register(&lapic, LVT1, DELIVER_NMI);
	return gmem_ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic);
}
