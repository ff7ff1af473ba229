// SPDX-License-Identifier: MIT
/* Interrupts and doorbells of emulated devices, without an exit of a vCPU. */
#include <errno.h>
#include <stdlib.h>

#include <gmem.h>

#include "kvm/ioctl.h"

#define PIC_PINS	16
#define IOAPIC_PINS	24
#define PIN_ROUTES	(PIC_PINS + IOAPIC_PINS)

static struct kvm_irq_routing_entry pin(uint32_t gsi, uint32_t chip, uint32_t number)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = number },
	};
}

/* The routes that KVM_CREATE_IRQCHIP sets: setting routes replaces all existing ones. */
static uint32_t add_pins(struct kvm_irq_routing_entry *entry)
{
	uint32_t gsi, nr = 0;

	for (gsi = 0; gsi < PIC_PINS; gsi++)
		entry[nr++] = pin(gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER :
						 KVM_IRQCHIP_PIC_SLAVE, gsi % 8);
	for (gsi = 0; gsi < IOAPIC_PINS; gsi++)
		entry[nr++] = pin(gsi, KVM_IRQCHIP_IOAPIC, gsi);
	return nr;
}

int gmem_vm_set_msi_routes(int vm, const struct gmem_msi_route *routes, uint32_t nr)
{
	struct kvm_irq_routing *routing;
	uint32_t i;
	int ret;

	if (nr > GMEM_MAX_MSI_ROUTES)
		return -EINVAL;
	routing = calloc(1, sizeof(*routing) +
			 (PIN_ROUTES + nr) * sizeof(routing->entries[0]));
	if (!routing)
		return -ENOMEM;
	routing->nr = add_pins(routing->entries);
	for (i = 0; i < nr; i++)
		routing->entries[routing->nr++] = (struct kvm_irq_routing_entry){
			.gsi = routes[i].gsi, .type = KVM_IRQ_ROUTING_MSI,
			.u.msi = {
				.address_lo = routes[i].address,
				.address_hi = routes[i].address >> 32,
				.data = routes[i].data,
			},
		};
	ret = gmem_ioctl(vm, KVM_SET_GSI_ROUTING, routing);
	free(routing);
	return ret;
}

int gmem_vm_irqfd(int vm, int eventfd, uint32_t gsi, int on)
{
	struct kvm_irqfd irqfd = {
		.fd = eventfd, .gsi = gsi, .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return gmem_ioctl(vm, KVM_IRQFD, &irqfd);
}

int gmem_vm_ioeventfd(int vm, int eventfd, uint64_t address, int on)
{
	struct kvm_ioeventfd doorbell = {
		.addr = address, .fd = eventfd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return gmem_ioctl(vm, KVM_IOEVENTFD, &doorbell);
}
