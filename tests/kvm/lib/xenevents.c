// SPDX-License-Identifier: GPL-2.0-only
/* Xen event channels: see xenevents.h. */
#include "xenevents.h"

void xen_configure(struct kvm_vm *vm)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = XEN_MSR,
	};
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_LONG_MODE, .u.long_mode = 1 };

	vm_ioctl(vm, KVM_XEN_HVM_CONFIG, &config);
	vm_ioctl(vm, KVM_XEN_HVM_SET_ATTR, &attr);
}

void xen_shared_page(struct kvm_vm *vm, uint64_t gpa)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
		.u.shared_info.gfn = gpa / PAGE_SIZE,
	};

	vm_ioctl(vm, KVM_XEN_HVM_SET_ATTR, &attr);
}

void xen_shared_page_at(struct kvm_vm *vm, void *hva)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA,
		.u.shared_info.hva = (uint64_t)hva,
	};

	vm_ioctl(vm, KVM_XEN_HVM_SET_ATTR, &attr);
}

void xen_no_shared_page(struct kvm_vm *vm)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
		.u.shared_info.gfn = KVM_XEN_INVALID_GFN,
	};

	vm_ioctl(vm, KVM_XEN_HVM_SET_ATTR, &attr);
}

struct kvm_irq_routing_xen_evtchn xen_evtchn(unsigned int port)
{
	return (struct kvm_irq_routing_xen_evtchn){
		.port = port, .vcpu = 0, .priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
	};
}

void xen_route(struct kvm_vm *vm, unsigned int gsi, unsigned int port)
{
	struct {
		struct kvm_irq_routing info;
		struct kvm_irq_routing_entry entry;
	} routing = {
		.info.nr = 1,
		.entry = {
			.gsi = gsi,
			.type = KVM_IRQ_ROUTING_XEN_EVTCHN,
			.u.xen_evtchn = xen_evtchn(port),
		},
	};

	vm_ioctl(vm, KVM_SET_GSI_ROUTING, &routing.info);
}

void xen_irqfd(struct kvm_vm *vm, int fd, unsigned int port)
{
	struct kvm_irqfd irqfd = { .fd = fd, .gsi = XEN_GSI };

	xen_route(vm, XEN_GSI, port);
	vm_ioctl(vm, KVM_IRQFD, &irqfd);
}
