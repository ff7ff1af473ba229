/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Xen event channels: what a VMM sets up for them.
 */
#ifndef GMEM_TESTS_XENEVENTS_H
#define GMEM_TESTS_XENEVENTS_H

#include "kvm_util.h"
#include "processor.h"

#define XEN_PENDING	(2048 / 8)	/* word of struct shared_info: evtchn_pending */
#define XEN_GSI		24
#define XEN_RUNSTATE_32	0x2c		/* bytes of a runstate area in 32 bits; in 64, 4 more */
#define XEN_MSR		0x40000000	/* by which the guest asks for its hypercall page */

/* Events that the kernel sends, in a guest of 64 bits. */
void xen_configure(struct kvm_vm *vm);

/* The shared page, by guest address, or by the VMM's. */
void xen_shared_page(struct kvm_vm *vm, uint64_t gpa);
void xen_shared_page_at(struct kvm_vm *vm, void *hva);
void xen_no_shared_page(struct kvm_vm *vm);

/* An event of vCPU 0. */
struct kvm_irq_routing_xen_evtchn xen_evtchn(unsigned int port);

/* Has a GSI raise it, and no other GSI anything. */
void xen_route(struct kvm_vm *vm, unsigned int gsi, unsigned int port);

/* Has an eventfd raise it, by XEN_GSI. */
void xen_irqfd(struct kvm_vm *vm, int fd, unsigned int port);

#endif /* GMEM_TESTS_XENEVENTS_H */
