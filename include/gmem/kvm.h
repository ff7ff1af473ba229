/* SPDX-License-Identifier: MIT */
/* libgmem: KVM, its VMs and vCPUs, and a PC's devices in the kernel. gmem.h has the conventions. */
#ifndef GMEM_KVM_H
#define GMEM_KVM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kvm_cpuid2;
struct kvm_run;
struct kvm_regs;
struct kvm_sregs;

/* ---- KVM and its VMs (kvm/kvm.c) ---- */

/*
 * gmem_kvm_open - open KVM
 *
 * Returns a descriptor of /dev/kvm. Errors: ENOENT (no KVM module loaded),
 * EACCES (not for this user), ENOSYS (it speaks another API than version 12).
 */
int gmem_kvm_open(void);

/*
 * gmem_check_extension - KVM_CHECK_EXTENSION
 * @fd: /dev/kvm, or a VM for what that VM can do
 * @capability: KVM_CAP_*
 *
 * Returns the capability's value, 0 where KVM does not have it. With
 * KVM_CAP_GMEM the value is a mask of KVM_GMEM_CAP_* bits.
 */
int gmem_check_extension(int fd, uint32_t capability);

/*
 * gmem_supported_cpuid - KVM_GET_SUPPORTED_CPUID
 * @cpuid: filled in; @cpuid->nent says for how many entries there is room; GMEM_CPUID_ENTRIES are
 *	enough
 *
 * Reads what the processor has and KVM can give to a guest. Errors: E2BIG (no room).
 */
int gmem_supported_cpuid(int kvm, struct kvm_cpuid2 *cpuid);

#define GMEM_CPUID_ENTRIES	256

/*
 * gmem_vm_create - create a VM
 * @kvm: /dev/kvm
 * @type: KVM_X86_DEFAULT_VM, KVM_X86_SW_PROTECTED_VM, ...
 *
 * Returns the VM's descriptor. Errors: EINVAL (this KVM has no such type).
 */
int gmem_vm_create(int kvm, uint64_t type);

/*
 * struct gmem_slot - a memslot, for binding it and for handing it over
 * @slot: KVM's number of it
 * @flags: KVM_MEM_*; KVM_MEM_GUEST_MEMFD where it has private memory
 * @gpa: first guest physical address
 * @size: of the slot
 * @private_offset: where the slot begins in its view
 * @shared_offset: where the slot begins in the file of its shared memory
 * @private_fd: the view; in a message, which of the message's descriptors it
 *	is; -1: none
 * @shared_fd: the file that is mapped for its shared memory, or -1 where the
 *	VMM maps memory that the guest never uses; in a message as above
 *
 * Offsets, addresses and sizes are multiples of the page size.
 */
struct gmem_slot {
	uint32_t slot;
	uint32_t flags;
	uint64_t gpa;
	uint64_t size;
	uint64_t private_offset;
	uint64_t shared_offset;
	int32_t private_fd;
	int32_t shared_fd;
};

/*
 * gmem_vm_set_memory - KVM_SET_USER_MEMORY_REGION2
 * @vm: VM
 * @slot: what to bind; @shared_fd and @shared_offset are ignored
 * @host: the shared memory of the slot in this process, @size bytes
 *
 * Errors are KVM's: EINVAL (alignment, flags, a view of another VM, a range of
 * it that is bound already), EEXIST (overlaps another slot).
 */
int gmem_vm_set_memory(int vm, const struct gmem_slot *slot, void *host);

/*
 * struct gmem_range - a range of guest physical addresses and its attributes
 * @gpa: first address
 * @size: bytes
 * @attributes: KVM_MEMORY_ATTRIBUTE_*
 */
struct gmem_range {
	uint64_t gpa;
	uint64_t size;
	uint64_t attributes;
};

/*
 * gmem_vm_set_attributes - KVM_SET_MEMORY_ATTRIBUTES
 *
 * Errors are KVM's: EINVAL (alignment, an attribute that this VM type does not have), ENOMEM.
 */
int gmem_vm_set_attributes(int vm, const struct gmem_range *range);

/* ---- vCPUs (kvm/vcpu.c) ---- */

/*
 * struct gmem_vcpu - a vCPU in a VM of this process
 * @fd: its descriptor
 * @id: KVM's number of it
 * @kvm: /dev/kvm, the caller's
 * @vm: its VM, the caller's
 * @run: the page that it shares with KVM
 * @run_size: bytes mapped at @run
 */
struct gmem_vcpu {
	int fd;
	uint32_t id;
	int kvm;
	int vm;
	struct kvm_run *run;
	size_t run_size;
};

/*
 * gmem_vcpu_create - create a vCPU and map its run page
 * @kvm, @vm: borrowed: they stay open for as long as the vCPU is used
 * @id: its number, below KVM_CAP_MAX_VCPU_ID
 * @vcpu: filled in; unchanged on error
 */
int gmem_vcpu_create(int kvm, int vm, uint32_t id, struct gmem_vcpu *vcpu);

/* gmem_vcpu_close - unmap and close; may be called twice */
void gmem_vcpu_close(struct gmem_vcpu *vcpu);

/*
 * gmem_vcpu_run - KVM_RUN
 *
 * Returns 0 when the guest left for the reason in @run->exit_reason. -EINTR: a signal came or
 * immediate_exit is set; then nothing is pending, and the state is complete. -EFAULT and -EHWPOISON
 * may come with @run->exit_reason KVM_EXIT_MEMORY_FAULT.
 *
 * An exit that KVM wants answered (port I/O, MMIO) is complete only after the
 * next call: state that is read before that is from the middle of an instruction. Set
 * immediate_exit and call until it returns -EINTR.
 */
int gmem_vcpu_run(struct gmem_vcpu *vcpu);

/*
 * gmem_vcpu_set_immediate_exit - make gmem_vcpu_run() return at once, or not
 *
 * This is the only function that another thread may call while one is in gmem_vcpu_run(). To stop a
 * running vCPU, call it, then send the vCPU's thread a signal that has a handler.
 */
void gmem_vcpu_set_immediate_exit(struct gmem_vcpu *vcpu, int on);

/* gmem_vcpu_set_regs - KVM_SET_REGS */
int gmem_vcpu_set_regs(struct gmem_vcpu *vcpu, const struct kvm_regs *regs);

/* gmem_vcpu_get_sregs - KVM_GET_SREGS */
int gmem_vcpu_get_sregs(struct gmem_vcpu *vcpu, struct kvm_sregs *sregs);

/* gmem_vcpu_set_sregs - KVM_SET_SREGS */
int gmem_vcpu_set_sregs(struct gmem_vcpu *vcpu, const struct kvm_sregs *sregs);

/*
 * gmem_vcpu_set_cpuid - KVM_SET_CPUID2
 *
 * For a vCPU that has not run. Errors are KVM's: EINVAL.
 */
int gmem_vcpu_set_cpuid(struct gmem_vcpu *vcpu, const struct kvm_cpuid2 *cpuid);

/*
 * gmem_vcpu_get_cpuid - KVM_GET_CPUID2
 * @cpuid: as for gmem_supported_cpuid()
 *
 * It waits for a vCPU that runs. Errors: E2BIG (no room).
 */
int gmem_vcpu_get_cpuid(struct gmem_vcpu *vcpu, struct kvm_cpuid2 *cpuid);

/* gmem_vcpu_use_host_cpuid - give the guest all the CPUID that KVM supports */
int gmem_vcpu_use_host_cpuid(struct gmem_vcpu *vcpu);

/* ---- A PC's devices in the kernel (kvm/pc.c) ---- */

/*
 * gmem_vm_create_pc - create the interrupt controllers and the timer of a PC
 * @vm: VM without vCPUs
 *
 * vCPUs get local APICs. Errors: EEXIST (it has them).
 */
int gmem_vm_create_pc(int vm);

/* gmem_vm_set_irq - raise (@level 1) or lower an interrupt line: KVM_IRQ_LINE */
int gmem_vm_set_irq(int vm, uint32_t irq, int level);

/* gmem_vcpu_wire_pic - let the PIC's interrupts reach this vCPU, as firmware does */
int gmem_vcpu_wire_pic(struct gmem_vcpu *vcpu);

/* ---- Interrupts and doorbells of emulated devices (kvm/irq.c) ---- */

#define GMEM_MAX_MSI_ROUTES	4000	/* a VM has 4,096 routes, some of them the pins' */

/*
 * struct gmem_msi_route - a message-signalled interrupt, for use by an irqfd
 * @gsi: its number, 24 or more: lower numbers are the interrupt controllers' pins
 * @data, @address: the message, as the guest has written it to the device
 */
struct gmem_msi_route {
	uint32_t gsi;
	uint32_t data;
	uint64_t address;
};

/*
 * gmem_vm_set_msi_routes - replace all message-signalled interrupts: KVM_SET_GSI_ROUTING
 * @vm: VM with interrupt controllers in the kernel, whose pins stay as they are
 *
 * Errors: EINVAL (too many, or a bad number).
 */
int gmem_vm_set_msi_routes(int vm, const struct gmem_msi_route *routes, uint32_t nr);

/*
 * gmem_vm_irqfd - let a write to an eventfd raise an interrupt: KVM_IRQFD
 * @gsi: a route's or a pin's number; the route may be set later, and change
 * @on: 0: not any more
 *
 * KVM keeps the eventfd until then. Errors: EBUSY (it raises one already).
 */
int gmem_vm_irqfd(int vm, int eventfd, uint32_t gsi, int on);

/*
 * gmem_vm_ioeventfd - let a guest's write signal an eventfd: KVM_IOEVENTFD
 * @address: guest physical address without memory; a write of any size and value counts
 * @on: 0: not any more
 *
 * The vCPU does not leave the kernel. Errors: EEXIST (the address has one).
 */
int gmem_vm_ioeventfd(int vm, int eventfd, uint64_t address, int on);

#ifdef __cplusplus
}
#endif

#endif /* GMEM_KVM_H */
